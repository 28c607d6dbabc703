package keyval

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"starling/admin"
	"starling/lib/clock"
	"starling/plan"
	"starling/zone/kinds"
)

// Resources is the branch of the API for the zones of one side; none if the configuration declares none there.
func Resources(p *plan.Plan, side string) []admin.Resource {
	b := &branch{clock: p.Clock}
	for _, z := range partOf(p, side).order {
		b.zones = append(b.zones, z.Value.(*Zone))
	}
	since := 1
	if side == "stream" {
		since = 3
	}
	missing := func(string) *admin.APIError {
		return &admin.APIError{Status: http.StatusNotFound, Code: "KeyvalNotFound", Text: "keyval not found"}
	}
	browsed := admin.Collection[*Zone]{
		Path: "starling/" + side + "/keyvals", Since: 9, All: b.names, Find: b.find, Missing: missing,
		Get: func(z *Zone, call *admin.Call) admin.Answer { return z.browse(call, b.clock.Now()) },
	}
	documented := admin.Collection[*Zone]{
		Path: side + "/keyvals", Since: since, All: b.all, Find: b.find,
		Missing: missing,
		Get:     func(z *Zone, call *admin.Call) admin.Answer { return z.get(call, b.clock.Now()) },
		Post: func(z *Zone, call *admin.Call) admin.Answer {
			return b.write(z, call, func(now clock.Reading) admin.Answer { return z.post(call.Body, now) })
		},
		Patch: func(z *Zone, call *admin.Call) admin.Answer {
			return b.write(z, call, func(now clock.Reading) admin.Answer { return z.patch(call.Body, now) })
		},
		Delete: func(z *Zone, call *admin.Call) admin.Answer { return b.write(z, call, z.clear) },
	}
	all := []admin.Resource{documented.Resource(), browsed.Resource()}
	if side == "http" { // the API is in http
		all = append(all, progressResource(p))
	}
	return all
}

type branch struct {
	clock *clock.Clock
	zones []*Zone
}

func (b *branch) find(name string) (*Zone, bool) {
	for _, z := range b.zones {
		if z.Name == name {
			return z, true
		}
	}
	return nil, false
}

func (b *branch) names(*admin.Call) admin.Answer {
	names := []string{}
	for _, z := range b.zones {
		names = append(names, z.Name)
	}
	return admin.Answer{Body: names}
}

// all answers with all zones, or with their names only (?fields=).
func (b *branch) all(call *admin.Call) admin.Answer {
	if call.Query.Has("fields") && call.Query.Get("fields") == "" {
		return b.names(call)
	}
	now, body, big := b.clock.Now(), map[string]map[string]string{}, false
	for _, z := range b.zones {
		big = big || z.big()
	}
	if big {
		return admin.Answer{Stream: func(w io.Writer) error { return b.stream(w, wantedFields(call), now) }}
	}
	for _, z := range b.zones {
		body[z.Name] = z.pairs(now)
	}
	return admin.Answer{Body: body}
}

func (z *Zone) pairs(now clock.Reading) map[string]string {
	out := map[string]string{}
	for pair := range z.All(now) {
		out[string(pair.Key)] = string(pair.Value)
	}
	return out
}

func (z *Zone) clear(now clock.Reading) admin.Answer {
	if err := z.Clear(now); err != nil {
		return z.refusal("", err)
	}
	return admin.Answer{Status: http.StatusNoContent}
}

func (z *Zone) get(call *admin.Call, now clock.Reading) admin.Answer {
	if !call.Query.Has("key") && z.big() {
		return admin.Answer{Stream: func(w io.Writer) error { return z.stream(w, wantedFields(call), now) }}
	}
	if !call.Query.Has("key") {
		return admin.Answer{Body: z.pairs(now)}
	}
	key := call.Query.Get("key")
	value, found := z.Get([]byte(key), now)
	if !found {
		return z.refusal(key, kinds.ErrNotFound)
	}
	return admin.Answer{Body: map[string]string{key: string(value)}}
}

// post adds pairs: one, or several to an empty zone. It adds all of them or none.
func (z *Zone) post(body []byte, now clock.Reading) admin.Answer {
	changes, problem := z.changes(body)
	if problem != nil {
		return admin.Answer{Err: problem}
	}
	if len(changes) > 1 && !z.empty(now) {
		return admin.Answer{Err: badFormat("only one key can be added")}
	}
	for _, c := range changes {
		if c.remove {
			return admin.Answer{Err: badFormat("value of key \"" + c.key + "\" required")}
		}
	}
	batch := z.Batch(now) // one wait for the disk, for any number of pairs
	for i, c := range changes {
		if err := batch.Add([]byte(c.key), []byte(c.value), max(c.expireMS, kinds.NoExpire)); err != nil {
			return z.undo(batch, changes[:i], c.key, err)
		}
	}
	if err := batch.Commit(); err != nil {
		return z.refusal("", err)
	}
	return admin.Answer{Status: http.StatusCreated}
}

// undo removes the pairs added before one that could not be added. It answers with the reason.
func (z *Zone) undo(batch *kinds.Batch, added []change, key string, why error) admin.Answer {
	for _, c := range added {
		// A pair that another client has removed meanwhile is gone, as requested.
		if err := batch.Delete([]byte(c.key)); err != nil && !errors.Is(err, kinds.ErrNotFound) {
			return z.refusal(c.key, err)
		}
	}
	if err := batch.Commit(); err != nil {
		return z.refusal("", err)
	}
	return z.refusal(key, why)
}

func (z *Zone) empty(now clock.Reading) bool {
	for range z.Visit(now) {
		return false
	}
	return true
}

// patch changes or, with null, removes one pair.
func (z *Zone) patch(body []byte, now clock.Reading) admin.Answer {
	changes, problem := z.changes(body)
	if problem != nil {
		return admin.Answer{Err: problem}
	}
	if len(changes) > 1 {
		return admin.Answer{Err: badFormat("only one key can be updated")}
	}
	c := changes[0]
	var err error
	if c.remove {
		err = z.Delete([]byte(c.key), now)
	} else {
		err = z.Update([]byte(c.key), []byte(c.value), max(c.expireMS, kinds.NoExpire), now)
	}
	if err != nil {
		return z.refusal(c.key, err)
	}
	return admin.Answer{Status: http.StatusNoContent}
}

func (z *Zone) changes(body []byte) ([]change, *admin.APIError) {
	changes, problem := parseBody(body)
	if problem != nil {
		return nil, problem
	}
	for _, c := range changes {
		if c.expireMS >= 0 && z.Timeout == 0 {
			return nil, badFormat("keyval timeout is not enabled")
		}
	}
	return changes, nil
}

// fullText says what fills the zone and what to do about it.
func (z *Zone) fullText() string {
	stats, timeout := z.Stats(), "a timeout"
	if z.Timeout > 0 {
		timeout = "a shorter timeout"
	}
	return fmt.Sprintf("zone %q is full: %d pairs use %d of %d bytes; delete pairs, increase the zone size or set %s",
		z.Name, stats.Records, stats.RecordBytes, z.LocalLimit(), timeout)
}

// refusal words a zone's reason to reject a key. A full zone has no documented code; it gets one like that of an
// upstream.
func (z *Zone) refusal(key string, err error) admin.Answer {
	switch {
	case errors.Is(err, kinds.ErrExists):
		return admin.Fail(http.StatusConflict, "KeyvalKeyExists", "key \""+key+"\" already exists")
	case errors.Is(err, kinds.ErrNotFound):
		return admin.Fail(http.StatusNotFound, "KeyvalKeyNotFound", "key \""+key+"\" not found")
	case errors.Is(err, kinds.ErrKey), errors.Is(err, kinds.ErrTooLong):
		return admin.Answer{Err: badFormat("invalid key format: key \"" + key + "\": " + err.Error())}
	case errors.Is(err, kinds.ErrFull):
		return admin.Fail(http.StatusBadRequest, "KeyvalOutOfMemory", "key \""+key+"\": "+z.fullText())
	}
	return admin.Fail(http.StatusInternalServerError, "KeyvalNotStored", "zone \""+z.Name+"\": "+err.Error())
}
