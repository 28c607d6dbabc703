package main

import (
	"fmt"
	"time"
)

// million is the number of records of the measurements between bare nodes.
const million = 1_000_000

// syncLimit bounds a wait for a million records, far above any plausible time.
const syncLimit = time.Minute

// updates charges a million limits of distinct keys on one node; the other applies them.
func (b *bench) updates() error {
	var sent, applied, size []float64
	for range b.rounds {
		a, err := bare(measuredCore, nodeASync, nodeBSync)
		if err != nil {
			return err
		}
		c, err := bare(otherCore, nodeBSync, nodeASync)
		if err != nil {
			a.stop()
			return err
		}
		err = b.updatesOnce(a, c, &sent, &applied, &size)
		a.stop()
		c.stop()
		if err != nil {
			return err
		}
	}
	b.report.add("limits changed, sent and acknowledged per CPU second of the sender", median(sent))
	b.report.add("limits applied per CPU second of the receiver", median(applied))
	b.report.add("bytes of frames per changed limit (4 B keys)", median(size))
	return nil
}

func (b *bench) updatesOnce(a, c *remote, sent, applied, size *[]float64) error {
	for _, r := range []*remote{a, c} {
		ready := func(s bareStatus) bool { return s.Online == 1 && s.Ready }
		if err := r.until("joined and ready", syncLimit, ready); err != nil {
			return err
		}
	}
	cpuA, err := a.cpu()
	if err != nil {
		return err
	}
	cpuC, err := c.cpu()
	if err != nil {
		return err
	}
	if _, err := a.tell(fmt.Sprint("charge ", million)); err != nil {
		return err
	}
	if err := c.until("all applied", syncLimit, func(s bareStatus) bool { return s.Records >= million }); err != nil {
		return err
	}
	if err := a.until("all acknowledged", syncLimit, func(s bareStatus) bool { return s.Drained }); err != nil {
		return err
	}
	afterA, err := a.cpu()
	if err != nil {
		return err
	}
	afterC, err := c.cpu()
	if err != nil {
		return err
	}
	s, err := a.tell("status")
	*sent = append(*sent, million/(afterA-cpuA).Seconds())
	*applied = append(*applied, million/(afterC-cpuC).Seconds())
	*size = append(*size, float64(s.BytesOut)/million)
	return err
}

// teach starts a fresh node next to one that has a million key-value pairs of 16-byte keys.
func (b *bench) teach() error {
	var took, size []float64
	for range b.rounds {
		if err := b.teachOnce(&took, &size); err != nil {
			return err
		}
	}
	b.report.add("1M records to a fresh node, s from its start", median(took))
	b.report.add("bytes of frames per taught record (16 B keys, 8 B values)", median(size))
	return nil
}

func (b *bench) teachOnce(took, size *[]float64) error {
	a, err := bare(measuredCore, nodeASync, nodeBSync)
	if err != nil {
		return err
	}
	defer a.stop()
	// A lone node is ready after a while: it teaches only then.
	if err := a.until("ready", syncLimit, func(s bareStatus) bool { return s.Ready }); err != nil {
		return err
	}
	before, err := a.tell(fmt.Sprint("fill ", million))
	if err != nil {
		return err
	}
	begin := time.Now()
	c, err := bare(otherCore, nodeBSync, nodeASync)
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.until("taught", syncLimit, func(s bareStatus) bool { return s.Records >= million }); err != nil {
		return err
	}
	*took = append(*took, time.Since(begin).Seconds())
	after, err := a.tell("status")
	*size = append(*size, float64(after.BytesOut-before.BytesOut)/million)
	return err
}
