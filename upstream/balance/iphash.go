package balance

import "starling/upstream"

// maxMisses is how many hashed or drawn servers can be unusable before round robin selects, as in nginx.
const maxMisses = 20

var ipHash = Method{
	Name: "ip_hash", Syntax: "", Side: HTTPOnly, NoBackup: true,
	Doc: "Selects the server by the client's address (the /24 network of an IPv4 address, or the full IPv6 address).",
	New: func([]string) (upstream.Balancer, error) { return ipHashBalancer{}, nil },
}

type ipHashBalancer struct{}

// Choose hashes like ngx_http_upstream_get_ip_hash_peer, so that both proxies send a client to the same server.
func (ipHashBalancer) Choose(set *upstream.Set, a *upstream.Attempt, wanted *upstream.Server) *upstream.Server {
	probe := &a.Probe
	if probe.Misses > maxMisses || len(set.Servers()) < 2 {
		return RoundRobin{}.Choose(set, a, wanted)
	}
	if wanted != nil {
		return wanted
	}
	if !probe.Ready {
		probe.Ready, probe.Hash = true, 89
	}
	// A client without an address counts as 0.0.0.
	octets, n := [16]byte{}, 3
	switch client := a.Client.Unmap(); {
	case client.Is4():
		v4 := client.As4()
		copy(octets[:], v4[:])
	case client.Is6():
		octets, n = client.As16(), 16
	}
	hash := probe.Hash
	for {
		for _, octet := range octets[:n] {
			hash = (hash*113 + uint32(octet)) % 6271
		}
		if s := byWeight(set, hash); a.Usable(s) && s.Takes(a, mixed(hash)) {
			probe.Hash = hash
			return s
		}
		if probe.Misses++; probe.Misses > maxMisses {
			return RoundRobin{}.Choose(set, a, nil)
		}
	}
}

// byWeight returns the server whose range of the cumulated weights contains a hash.
func byWeight(set *upstream.Set, hash uint32) *upstream.Server {
	rest := int(hash % uint32(set.TotalWeight()))
	for _, s := range set.Servers() {
		if rest -= s.Weight(); rest < 0 {
			return s
		}
	}
	panic("balance: the weights of a set do not add up to its total")
}
