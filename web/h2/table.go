package h2

import "starling/web/h1"

const (
	// tableBytes is the size of the dynamic table as counted by RFC 7541, 4.1: the default, which is never changed.
	tableBytes = 4096
	// entryOverheadBytes is what each entry counts beyond its name and value.
	entryOverheadBytes = 32
	maxEntries         = tableBytes / entryOverheadBytes
)

// entry is a field in the table's memory.
type entry struct {
	at, name, value uint16 // offset, length of the name, length of the value after it
	id              h1.Known
}

// dynamicTable is the dynamic table of one direction. Its memory is allocated with the first entry.
type dynamicTable struct {
	slab    *h1.Slab
	end     int // of the bytes in use
	entries [maxEntries]entry
	newest  int // index of the latest entry in the ring
	count   int
	used    int // by RFC 7541
	limit   int
}

// get returns the entry at an index that starts with 0 for the latest.
func (t *dynamicTable) get(i int) (name, value []byte, id h1.Known, ok bool) {
	if i < 0 || i >= t.count {
		return nil, nil, 0, false
	}
	e := t.entries[(t.newest-i+maxEntries)%maxEntries]
	middle := int(e.at + e.name)
	return t.slab.Mem[e.at:middle:middle], t.slab.Mem[middle : middle+int(e.value)], e.id, true
}

// add puts a field first; one larger than the table empties it. The bytes must not be the table's own.
func (t *dynamicTable) add(name, value []byte, id h1.Known) {
	size := len(name) + len(value) + entryOverheadBytes
	if size > t.limit {
		t.evict(0)
		return
	}
	t.evict(t.limit - size)
	if t.slab == nil {
		t.slab = h1.TakeSlab(tableBytes)
	}
	if t.end+len(name)+len(value) > tableBytes {
		t.compact()
	}
	t.newest = (t.newest + 1) % maxEntries
	t.entries[t.newest] = entry{uint16(t.end), uint16(len(name)), uint16(len(value)), id}
	t.end += copy(t.slab.Mem[t.end:], name)
	t.end += copy(t.slab.Mem[t.end:], value)
	t.count++
	t.used += size
}

// evict drops the oldest entries until at most limit bytes are used.
func (t *dynamicTable) evict(limit int) {
	for t.used > limit && t.count > 0 {
		e := t.entries[(t.newest-t.count+1+maxEntries)%maxEntries]
		t.used -= int(e.name) + int(e.value) + entryOverheadBytes
		t.count--
	}
	if t.count == 0 {
		t.end = 0
	}
}

// compact moves the entries to the beginning of the memory, the oldest first: they are stored in that order.
func (t *dynamicTable) compact() {
	end := 0
	for i := t.count - 1; i >= 0; i-- {
		e := &t.entries[(t.newest-i+maxEntries)%maxEntries]
		n := copy(t.slab.Mem[end:], t.slab.Mem[e.at:int(e.at)+int(e.name)+int(e.value)])
		e.at = uint16(end)
		end += n
	}
	t.end = end
}

// resize applies a size update of the client.
func (t *dynamicTable) resize(limit int) {
	t.limit = limit
	t.evict(limit)
}

func (t *dynamicTable) release() {
	if t.slab != nil {
		t.slab.GiveBack()
		t.slab = nil
	}
	t.count, t.used, t.end = 0, 0, 0
}
