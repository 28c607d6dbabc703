package ssl

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"starling/nginx/errno"
)

// ticketKey seals sessions in tickets as RFC 5077 (section 4) recommends and nginx does: the name of the key, a random
// vector, the session encrypted with AES in CBC mode, and HMAC-SHA256 of all that.
type ticketKey struct {
	name    [ticketNameBytes]byte
	block   cipher.Block
	mac     []byte
	expires time.Time
}

const ticketNameBytes = 16

// The sizes of ssl_session_ticket_key files: with AES-128 (name, AES, HMAC) and AES-256 (name, HMAC, AES).
const (
	ticketKeyBytes128 = 48
	ticketKeyBytes256 = 80
)

// parseTicketKey reads the contents of an ssl_session_ticket_key file.
func parseTicketKey(data []byte) (*ticketKey, error) {
	k := &ticketKey{}
	n := copy(k.name[:], data)
	var key []byte
	switch len(data) {
	case ticketKeyBytes128:
		key, k.mac = data[n:n+16], data[n+16:]
	case ticketKeyBytes256:
		k.mac, key = data[n:n+32], data[n+32:]
	default:
		return nil, fmt.Errorf("must be %d or %d bytes", ticketKeyBytes128, ticketKeyBytes256)
	}
	var err error
	k.block, err = aes.NewCipher(key)
	return k, err
}

func newTicketKey() (*ticketKey, error) {
	var data [ticketKeyBytes256]byte
	rand.Read(data[:]) // never fails: the runtime ends the process first
	return parseTicketKey(data[:])
}

func (k *ticketKey) seal(plain []byte) []byte {
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	ticket := make([]byte, ticketNameBytes+aes.BlockSize, ticketNameBytes+aes.BlockSize+len(plain)+padding+sha256.Size)
	copy(ticket, k.name[:])
	rand.Read(ticket[ticketNameBytes:])
	ticket = append(append(ticket, plain...), bytes.Repeat([]byte{byte(padding)}, padding)...)
	body := ticket[ticketNameBytes+aes.BlockSize:]
	cipher.NewCBCEncrypter(k.block, ticket[ticketNameBytes:ticketNameBytes+aes.BlockSize]).CryptBlocks(body, body)
	return k.sum(ticket)
}

// sum appends the HMAC.
func (k *ticketKey) sum(sealed []byte) []byte {
	mac := hmac.New(sha256.New, k.mac)
	mac.Write(sealed)
	return mac.Sum(sealed)
}

// open returns nil for a ticket that was not sealed with the key.
func (k *ticketKey) open(ticket []byte) []byte {
	body := len(ticket) - ticketNameBytes - aes.BlockSize - sha256.Size
	if body < aes.BlockSize || body%aes.BlockSize != 0 || !bytes.Equal(ticket[:ticketNameBytes], k.name[:]) {
		return nil
	}
	sealed := slices.Clip(ticket[:len(ticket)-sha256.Size])
	if !hmac.Equal(k.sum(sealed), ticket) {
		return nil
	}
	plain := make([]byte, body)
	vector, rest := sealed[ticketNameBytes:ticketNameBytes+aes.BlockSize], sealed[ticketNameBytes+aes.BlockSize:]
	cipher.NewCBCDecrypter(k.block, vector).CryptBlocks(plain, rest)
	padding := int(plain[body-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil
	}
	return plain[:body-padding]
}

// TicketKeys are the keys of tickets. Keys that it makes itself rotate as in nginx: a key seals new tickets for up to
// ssl_session_timeout, and opens them for as long afterwards. It is safe for concurrent use.
type TicketKeys struct {
	files []*ticketKey // of ssl_session_ticket_key; the first seals

	mu sync.Mutex
	// current seals and opens; previous only opens; next has not sealed yet.
	current, previous, next *ticketKey
}

// fileKeys reads ssl_session_ticket_key files.
func fileKeys(paths []string, read ReadFile) (*TicketKeys, error) {
	keys := &TicketKeys{}
	for _, path := range paths {
		data, err := read(path)
		if err != nil {
			return nil, errno.Call("open", path, err)
		}
		key, err := parseTicketKey(data)
		if err != nil {
			return nil, fmt.Errorf("\"%s\" %w", path, err)
		}
		keys.files = append(keys.files, key)
	}
	return keys, nil
}

// at returns the keys that open tickets; the first one seals new tickets, which are valid for timeout.
func (k *TicketKeys) at(now time.Time, timeout time.Duration) ([]*ticketKey, error) {
	if len(k.files) > 0 {
		return k.files, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == nil || !now.Before(k.previous.expires) {
		next, err := newTicketKey()
		if err != nil {
			return nil, err
		}
		if k.current == nil {
			if k.next, err = newTicketKey(); err != nil {
				return nil, err
			}
			k.current = &ticketKey{expires: now.Add(timeout)} // opens nothing
		}
		k.previous, k.current, k.next = k.current, k.next, next
	}
	if until := now.Add(timeout); until.After(k.current.expires) {
		k.current.expires = until
	}
	if k.previous.block == nil {
		return []*ticketKey{k.current}, nil
	}
	return []*ticketKey{k.current, k.previous}, nil
}

// tickets make the tickets of one server: only servers with the same context resume them, and only for timeout.
type tickets struct {
	keys    *TicketKeys
	timeout time.Duration
	// context is what nginx calls the session id context: the certificates, or the names that they are found by.
	context [sha256.Size]byte
}

// newTickets distinguishes servers by their certificates and by words.
func newTickets(keys *TicketKeys, timeout time.Duration, certificates []tls.Certificate, words []string) *tickets {
	sum := sha256.New()
	for _, cert := range certificates {
		fmt.Fprintf(sum, "%x\n", sha256.Sum256(cert.Certificate[0])) // a hash write does not fail
	}
	for _, word := range words {
		fmt.Fprintf(sum, "%q\n", word)
	}
	t := &tickets{keys: keys, timeout: timeout}
	sum.Sum(t.context[:0])
	return t
}

// use makes a server seal its sessions.
func (t *tickets) use(config *tls.Config) {
	config.WrapSession = func(_ tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		return t.seal(session, time.Now())
	}
	config.UnwrapSession = func(ticket []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
		return t.open(ticket, time.Now())
	}
}

// contextMark starts our part of a ticket's contents: the mark, when the session expires, and the context.
const contextMark = "starling:"

func isOurs(extra []byte) bool { return bytes.HasPrefix(extra, []byte(contextMark)) }

func (t *tickets) seal(session *tls.SessionState, now time.Time) ([]byte, error) {
	keys, err := t.keys.at(now, t.timeout)
	if err != nil {
		return nil, err
	}
	ours := binary.BigEndian.AppendUint64([]byte(contextMark), uint64(now.Add(t.timeout).UnixMilli()))
	session.Extra = append(slices.DeleteFunc(session.Extra, isOurs), append(ours, t.context[:]...))
	plain, err := session.Bytes()
	if err != nil {
		return nil, err
	}
	return keys[0].seal(plain), nil
}

// open returns nil for a ticket that does not count here or any more: a full handshake follows.
func (t *tickets) open(ticket []byte, now time.Time) (*tls.SessionState, error) {
	keys, err := t.keys.at(now, t.timeout)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		plain := key.open(ticket)
		if plain == nil {
			continue
		}
		session, err := tls.ParseSessionState(plain)
		if err != nil || !t.valid(session, now) {
			return nil, nil // of another version of the library, say
		}
		return session, nil
	}
	return nil, nil
}

func (t *tickets) valid(session *tls.SessionState, now time.Time) bool {
	at := slices.IndexFunc(session.Extra, isOurs)
	const expires = len(contextMark)
	if at < 0 || len(session.Extra[at]) != expires+8+len(t.context) {
		return false
	}
	ours := session.Extra[at][expires:]
	return now.UnixMilli() < int64(binary.BigEndian.Uint64(ours)) && bytes.Equal(ours[8:], t.context[:])
}
