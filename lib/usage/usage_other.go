//go:build !linux

package usage

// memory and openFiles are not known on other systems.
func memory() (virtual, resident uint64) { return 0, 0 }

func openFiles() int { return 0 }
