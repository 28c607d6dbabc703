package templates

import (
	"bytes"
	"io/fs"
	"time"
)

// result is a file that a template makes, as a file system shows it.
type result struct {
	name string // without folders
	*bytes.Reader
	length int64
}

func newResult(name string, text []byte) *result {
	return &result{name, bytes.NewReader(text), int64(len(text))}
}

// Name implements fs.FileInfo and fs.DirEntry.
func (r *result) Name() string { return r.name }

// Size implements fs.FileInfo.
func (r *result) Size() int64 { return r.length }

// Mode implements fs.FileInfo.
func (r *result) Mode() fs.FileMode { return 0o444 }

// Type implements fs.DirEntry.
func (r *result) Type() fs.FileMode { return 0 }

// ModTime implements fs.FileInfo; no caller uses it.
func (r *result) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo and fs.DirEntry.
func (r *result) IsDir() bool { return false }

// Sys implements fs.FileInfo.
func (r *result) Sys() any { return nil }

// Info implements fs.DirEntry.
func (r *result) Info() (fs.FileInfo, error) { return r, nil }

// Stat implements fs.File.
func (r *result) Stat() (fs.FileInfo, error) { return r, nil }

// Close implements fs.File.
func (r *result) Close() error { return nil }
