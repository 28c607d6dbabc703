package side

import (
	"context"
	"crypto/tls"
)

// subjectKey is the key of a subject in the context of its handshake.
type subjectKey[T any] struct{}

// WithSubject gives the context of a TLS handshake what the handshake is for: the connection of http, the session of
// stream. The context goes to tls.Conn.HandshakeContext, or to QUIC's, which have no connection in common. Make it of
// context.Background: for one that can end, each handshake starts a goroutine, and closing the connection ends a
// handshake as well.
func WithSubject[T any](ctx context.Context, t T) context.Context {
	return context.WithValue(ctx, subjectKey[T]{}, t)
}

// SubjectOf is the T of WithSubject. It is for the callbacks of tls.Config (GetConfigForClient, GetCertificate) and
// panics in a handshake that has none.
func SubjectOf[T any](hello *tls.ClientHelloInfo) T {
	return hello.Context().Value(subjectKey[T]{}).(T)
}
