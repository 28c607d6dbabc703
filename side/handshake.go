package side

import (
	"context"
	"crypto/tls"
)

// subjectKey is the key of a subject in the context of its handshake.
type subjectKey[T any] struct{}

// WithSubject returns a context for a TLS handshake with its subject: the connection of http, the session of stream.
// The context goes to tls.Conn.HandshakeContext, or to QUIC's, which have no connection in common. Derive it from
// context.Background: a cancellable one starts a goroutine for each handshake, and closing the connection also ends a
// handshake.
func WithSubject[T any](ctx context.Context, t T) context.Context {
	return context.WithValue(ctx, subjectKey[T]{}, t)
}

// SubjectOf is the T of WithSubject. It is for the callbacks of tls.Config (GetConfigForClient, GetCertificate) and
// panics in a handshake without one.
func SubjectOf[T any](hello *tls.ClientHelloInfo) T {
	return hello.Context().Value(subjectKey[T]{}).(T)
}
