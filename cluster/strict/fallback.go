package strict

// Fallback is what a node admits while it may not decide as a member: its even share of each key's bucket, by itself.
// The members know nothing of it, so it comes on top of what they admit; docs/decisions/2026-11-29-strict-fallback.md
// says what that adds up to.
//
// Each time, a bucket begins full: what was admitted before may have been all that there was, so losing contact gives
// nobody another burst. A node that is a member again first charges what it admitted alone to its pieces (owed).
//
// It outlives the nodes of a Gate, whose lock guards it.
type Fallback struct {
	share    Piece // of a key
	members  int   // of the configured list
	keysMost int
	active   bool
	sinceUS  int64
	buckets  recency[*lone]
	stats    FallbackStats
	broken   Mutant
}

// lone is the share of a key.
type lone struct {
	held
	owed    held // what was admitted, and has not drained
	sinceUS int64
}

// FallbackStats count what a node did by itself.
type FallbackStats struct{ Admitted, Rejected uint64 }

// NewFallback returns the fallback of one of so many members. A share holds one request at least, or it would admit
// none.
func NewFallback(limit Limit, members, keysMost int) *Fallback {
	capacity := max(limit.capacity()/int64(members), Request)
	whole := limit.slower()
	f := &Fallback{share: Piece{Capacity: capacity, Rate: whole / int64(members)}, members: members, keysMost: keysMost}
	f.buckets.init()
	return f
}

// begin notes that the node may not decide as a member.
func (f *Fallback) begin(nowUS int64) {
	if !f.active {
		f.active, f.sinceUS = true, nowUS
	}
}

// forget removes a few keys of which nothing is owed.
func (f *Fallback) forget(nowUS int64) {
	at := f.buckets.oldest()
	for i := 0; at != nil && i < evictLooksAt; i++ {
		key, a := at.key, at.value
		at = f.buckets.newer(at)
		if a.owed.drainTo(nowUS); a.owed.Level == 0 {
			f.buckets.remove(key)
		}
	}
}

// decide decides on a request by the share of its key.
func (f *Fallback) decide(key string, nowUS int64) Verdict {
	f.begin(nowUS)
	if a := f.bucket(key, nowUS); a == nil || !a.admit(nowUS) {
		f.stats.Rejected++
		return RejectedAlone
	} else if a.owed.drainTo(nowUS); a.owed.Level+Request <= a.owed.Capacity {
		a.owed.Level += Request
	}
	f.stats.Admitted++
	return AdmittedAlone
}

// bucket returns the share of a key, nil if there is no room for another.
func (f *Fallback) bucket(key string, nowUS int64) *lone {
	a, known := f.buckets.use(key)
	if !known {
		if f.buckets.size() >= f.keysMost && !f.evict(nowUS) {
			return nil
		}
		a = &lone{owed: held{Piece: f.share, atUS: nowUS}, sinceUS: never}
		f.buckets.add(key, a)
	}
	if a.sinceUS != f.sinceUS {
		a.sinceUS, a.held = f.sinceUS, f.fresh()
	}
	return a
}

// fresh is the share of a key that has had no request since the node lost contact.
func (f *Fallback) fresh() held {
	h := held{Piece: f.share, atUS: f.sinceUS}
	if f.broken != GenerousFallback {
		h.Level = h.Capacity
	}
	return h
}

// evict makes room for a key by forgetting one whose share stands no higher than a fresh one.
func (f *Fallback) evict(nowUS int64) bool {
	fresh := f.fresh()
	fresh.drainTo(nowUS)
	at := f.buckets.oldest()
	for i := 0; at != nil && i < evictLooksAt; i++ {
		key, a := at.key, at.value
		at = f.buckets.newer(at)
		a.owed.drainTo(nowUS)
		a.drainTo(nowUS)
		if a.owed.Level == 0 && (a.sinceUS != f.sinceUS || a.Level <= fresh.Level) {
			f.buckets.remove(key)
			return true
		}
	}
	return false
}

// repay returns how much of what is owed for a key is charged elsewhere now, at most so much.
func (f *Fallback) repay(key string, most, nowUS int64) int64 {
	a, ok := f.buckets.find(key)
	if !ok {
		return 0
	}
	a.owed.drainTo(nowUS)
	paid := min(a.owed.Level, max(most, 0))
	if a.owed.Level -= paid; a.owed.Level == 0 {
		f.buckets.remove(key)
	}
	return paid
}

// settle visits what is owed of each key, and forgets it: it is charged elsewhere.
func (f *Fallback) settle(nowUS int64, visit func(key string, amount int64)) {
	for at := f.buckets.oldest(); at != nil; at = f.buckets.newer(at) {
		if at.value.owed.drainTo(nowUS); at.value.owed.Level > 0 {
			visit(at.key, at.value.owed.Level)
		}
	}
	f.buckets.init()
	f.active = false
}

// FallBackTo makes the node admit a share by itself while it has no lease; nil: it rejects.
func (n *Node) FallBackTo(f *Fallback) {
	if n.fallback = f; f != nil {
		f.broken = n.cfg.Broken
	}
}

// followFallback begins the fallback when the lease has ended, and ends it when there is one.
func (n *Node) followFallback(nowUS int64) {
	switch {
	case n.fallback == nil:
	case n.HasLease(nowUS):
		n.fallback.active = false
	default:
		n.fallback.begin(nowUS)
	}
}

// repay charges what this node admitted of a key alone to its piece, as far as there is room.
func (n *Node) repay(h *holding, nowUS int64) {
	if n.fallback == nil || n.fallback.buckets.size() == 0 || !n.HasLease(nowUS) {
		return
	}
	h.drainTo(nowUS)
	h.Level += n.fallback.repay(h.key, h.free(), nowUS)
}

// Share makes the gate admit this node's share of the limit while it may not decide as a member, or not.
func (g *Gate) Share(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shares = on
	g.changeFallback()
}

// Shares reports whether the gate admits this node's share while it may not decide as a member.
func (g *Gate) Shares() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shares
}

// Among says how many members share the limit; 0: this node must not admit anything by itself.
func (g *Gate) Among(members int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.among = members
	g.changeFallback()
}

func (g *Gate) changeFallback() {
	if g.slots != nil {
		return // it counts connections, and needs no other record of them
	}
	if g.fallback != nil {
		g.fallbackStats = g.fallback.stats
	}
	switch {
	case !g.shares || g.among <= 0:
		g.fallback = nil
	case g.fallback == nil || g.fallback.members != g.among:
		g.fallback = NewFallback(g.Limit, g.among, g.KeysMost)
		g.fallback.stats = g.fallbackStats
	}
	if g.node != nil {
		g.node.FallBackTo(g.fallback)
	}
}

// FallbackStatus is a fallback for the API.
type FallbackStatus struct {
	Shares bool // the zone has one
	Active bool // requests are decided by it
	FallbackStats
}

// decidesAlone reports whether requests are decided by the fallback, if there is one. Called with mu held.
func (g *Gate) decidesAlone(nowUS int64) bool {
	return !g.additive.Load() && (g.node == nil || !g.node.HasLease(nowUS))
}

// fallbackStatus describes the fallback. Called with mu held.
func (g *Gate) fallbackStatus(nowUS int64) FallbackStatus {
	s := FallbackStatus{Shares: g.shares, FallbackStats: g.fallbackStats}
	if g.slots != nil {
		s.FallbackStats = g.slots.alone
		s.Active = g.shares && g.among > 0 && g.decidesAlone(nowUS)
	}
	if g.fallback != nil {
		s.FallbackStats = g.fallback.stats
		s.Active = g.decidesAlone(nowUS)
	}
	return s
}
