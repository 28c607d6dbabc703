package testkit

import (
	"net"
	"testing"
)

func TestFreeAddressesAreFreeAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		address := FreeAddress(t)
		if seen[address] {
			t.Fatalf("%s is given twice", address)
		}
		seen[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
}
