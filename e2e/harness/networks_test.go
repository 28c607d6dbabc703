package harness

import "testing"

// TestEachProcessHasANetworkOfItsOwn: a byte that is claimed is not given to anybody else.
func TestEachProcessHasANetworkOfItsOwn(t *testing.T) {
	given := map[int]bool{}
	for range 3 {
		c, err := claimNetwork()
		if err != nil {
			t.Fatal(err)
		}
		defer c.held.Close()
		if given[c.process] {
			t.Errorf("127.%d is claimed twice", c.process)
		}
		given[c.process] = true
	}
}

// TestEachTestHasANetworkOfItsOwn: until more tests run at once than there are networks.
func TestEachTestHasANetworkOfItsOwn(t *testing.T) {
	given := map[string]bool{}
	for range testsMax {
		if n := newNetwork(t); given[n] {
			t.Errorf("%s is given twice", n)
		} else {
			given[n] = true
		}
	}
}
