package cache

import (
	"crypto/md5"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// numbered is one of many keys.
func numbered(n int) Key { return md5.Sum(binary.AppendVarint(nil, int64(n))) }

// TestTable does as a map does, whatever the order of the changes.
func TestTable(t *testing.T) {
	for _, c := range []struct{ keys, steps int }{{3, 1000}, {300, 20_000}, {20_000, 200_000}} {
		random := rand.New(rand.NewPCG(1, uint64(c.keys)))
		table, model := newTable(), map[Key]*entry{}
		most := 0
		for range c.steps {
			key := numbered(random.IntN(c.keys))
			e := table.get(&key)
			if e != model[key] {
				t.Fatalf("%d keys: found %p, want %p", c.keys, e, model[key])
			}
			if e == nil {
				e = table.add(&key)
				if e.key != key || e.refs != 0 || e.exists || e.links != (links[entry]{}) {
					t.Fatalf("a new entry is %+v", e)
				}
				e.refs, e.exists = 7, true
				model[key] = e
				most = max(most, len(model))
			} else if random.IntN(3) > 0 {
				table.remove(e)
				delete(model, key)
			}
			if table.count != len(model) {
				t.Fatalf("%d entries, want %d", table.count, len(model))
			}
		}
		for key, e := range model {
			if table.get(&key) != e || e.key != key {
				t.Errorf("%d keys: the entry of a key is another's", c.keys)
			}
		}
		if table.made != most {
			t.Errorf("%d keys: memory for %d entries, never more than %d in use", c.keys, table.made, most)
		}
	}
}

// TestTableIsEven: chosen keys cannot fill one shard, because the hash has a secret.
func TestTableIsEven(t *testing.T) {
	table := newTable()
	var key Key
	const keys = 100_000
	for n := range keys {
		binary.LittleEndian.PutUint64(key[4:], uint64(n)<<20)
		table.add(&key)
	}
	for i := range table.shards {
		if used := table.shards[i].used; used < keys/len(table.shards)/2 || used > keys/len(table.shards)*2 {
			t.Errorf("shard %d has %d of %d", i, used, keys)
		}
	}
}

// TestTableAllocates: no memory for an entry, once there were as many.
func TestTableAllocates(t *testing.T) {
	table := newTable()
	key := numbered(1)
	if n := testing.AllocsPerRun(1000, func() { table.remove(table.add(&key)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
