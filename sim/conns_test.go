package sim

import "testing"

// TestSwarmOfConnections runs many seeds of connections. There are fewer ways to harm than in TestSwarm.
func TestSwarmOfConnections(t *testing.T) { swarmOfConnections().test(t) }

func TestSeedsOfConnectionsReplay(t *testing.T) { swarmOfConnections().replays(t, 1) }

func swarmOfConnections() *swarming {
	names := namesOf(connFlavours, func(f connFlavour) string { return f.name })
	return &swarming{name: "Connections", flavours: names, run: Connections, seeds: 60, raced: 10, share: 4}
}
