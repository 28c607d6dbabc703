// Command notice writes NOTICE: the licences of everything that is linked into the binary. It reads them from the
// module cache, so it needs no network. Run it in the root of the repository, as "make notice" does.
//
//	go run ./packaging/notice -write   writes NOTICE
//	go run ./packaging/notice          compares it, and exits with status 1 if it differs
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
)

const path = "NOTICE"

func main() {
	write := flag.Bool("write", false, "write "+path+" instead of comparing it")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, "notice:", err)
		os.Exit(1)
	}
}

func run(write bool) error {
	ours, err := os.ReadFile("LICENSE")
	if err != nil {
		return fmt.Errorf("run me in the root of the repository: %w", err)
	}
	parts, err := linked()
	if err != nil {
		return err
	}
	text, err := notice(parts, string(ours))
	if err != nil {
		return err
	}
	if write {
		return os.WriteFile(path, text, 0o644)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(old, text) {
		return fmt.Errorf("%s does not tell the licences of what is linked in now: run \"make notice\"", path)
	}
	return nil
}
