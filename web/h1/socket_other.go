//go:build !unix

package h1

import "syscall"

func socketOf(any) syscall.RawConn { return nil }

func (b *Buffer) tryRead(uintptr) bool { return true }

func (w *Writer) trySend(uintptr) bool { return true }
