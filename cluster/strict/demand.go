package strict

// demand estimates how many requests for a key arrive at one node. It is only used to place capacity well: no limit
// depends on it.
type demand struct {
	lastUS int64
	gapUS  float64 // the mean time between two requests
	seen   int
	// firstGapUS is assumed as long as there was one request only.
	firstGapUS float64
}

const (
	demandWeight   = 32 // so many requests are averaged
	demandRestarts = 20 // a pause of so many gaps begins a new average
	demandClip     = 4  // a single gap counts at most so many times the mean
	silentGaps     = 6  // after so many gaps without a request, none is expected
)

// note counts a request.
func (d *demand) note(nowUS int64) {
	gap := float64(nowUS - d.lastUS)
	d.lastUS = nowUS
	switch {
	case d.seen == 0:
		d.seen = 1
	case d.seen == 1:
		d.gapUS, d.seen = gap, 2
	case gap > demandRestarts*d.gapUS && d.seen >= 8:
		d.seen = 2
	default:
		if d.seen >= 8 {
			gap = min(gap, demandClip*d.gapUS)
		}
		d.gapUS += (gap - d.gapUS) / float64(min(d.seen, demandWeight))
		d.seen++
	}
}

// perSecond is the estimate, in 1/1,000,000,000 request. It falls while no request comes.
func (d *demand) perSecond(nowUS int64) int64 {
	gap := max(d.gapUS, float64(nowUS-d.lastUS)/3, 1)
	switch d.seen {
	case 0:
		return 0
	case 1:
		gap = max(gap, d.firstGapUS)
	}
	return int64(float64(Request) * microsecondsPerSecond / gap)
}

// silent reports whether no more requests are expected.
func (d *demand) silent(nowUS int64) bool {
	gap := d.gapUS
	if d.seen == 1 {
		gap = d.firstGapUS
	}
	return d.seen == 0 || float64(nowUS-d.lastUS) > silentGaps*gap
}
