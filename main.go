// Starling is a reverse proxy and load balancer that reads nginx.conf and shares its runtime state with the other nodes
// of its cluster.
package main

import (
	"os"

	"starling/process"
)

func main() { os.Exit(process.Main(os.Args[1:])) }
