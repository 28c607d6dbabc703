package strict

import "testing"

func TestConfigurationsAreChecked(t *testing.T) {
	good := Config{Self: 1, IDs: []uint64{1, 2}, Limit: Limit{Rate: Request, Burst: 5}, LeaseUS: 1, KeysMost: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no members":       func(c *Config) { c.IDs, c.Self = nil, 0 },
		"too many members": func(c *Config) { c.IDs = make([]uint64, MembersMost+1) },
		"not a member":     func(c *Config) { c.Self = 2 },
		"too large":        func(c *Config) { c.Limit.Burst = BurstMost + 1 },
		"no rate":          func(c *Config) { c.Limit.Rate = 0 },
		"no room":          func(c *Config) { c.KeysMost = 0 },
	} {
		bad := good
		if change(&bad); bad.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Messages of peers are not trusted: what is out of range is dropped, and what is returned is bounded by the book.
func TestMessagesThatLie(t *testing.T) {
	n, key, owner := holder(t, 100)
	for _, m := range []Message{
		{Kind: Ping, From: -1}, {Kind: Ping, From: 3}, {Kind: Ask, From: 1, To: 99}, {Kind: 99, From: 1, View: 1},
		{Kind: Grant, From: owner, View: 1, Session: 5, Sequence: 1, Key: key}, {Kind: Claim, From: 1, View: 1 << 60},
		{Kind: Return, From: 1, View: 1, Session: 1, Sequence: 1, Piece: Piece{Capacity: -5, Level: 1 << 62}},
	} {
		n.Receive(m, 10)
	}
	claim := Message{Kind: Claim, From: 1, View: 1, Session: 1, Sequence: 1, Armed: true}
	n.Receive(claim, 10)
	claim.From = 2
	n.Receive(claim, 10)
	n.settle(10)
	if !n.Ready(10) {
		t.Fatal("claims of all members do not make it ready")
	}
	mine := "mine"
	for i := 0; ; i++ {
		if of, _ := n.view.owner(mine, n.cfg.IDs); of == n.cfg.Self {
			break
		}
		mine += "x"
	}
	huge := Piece{Capacity: 1 << 62, Rate: 1 << 62, Level: -1}
	n.Receive(Message{Kind: Return, From: 1, View: 1, Session: 1, Sequence: 2, Key: mine, Piece: huge}, 10)
	p := n.pools[mine]
	if p == nil || p.Capacity != n.whole.Capacity-2*n.born.Capacity || p.Rate > n.whole.Rate || p.Level < 0 || n.stats.Excess != 1 {
		t.Errorf("the pool is %+v after more came back than the holder had", p)
	}
}
