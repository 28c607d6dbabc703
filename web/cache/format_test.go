package cache_test

import (
	"bytes"
	"reflect"
	"testing"

	"starling/web/cache"
	"starling/web/h1"
)

func example() *cache.Meta {
	return &cache.Meta{
		Freshness: cache.Freshness{Valid: 1, Updating: 2, Error: 3}, DateS: 4, CreatedMS: 5, Status: 200, LastModified: -1, ContentLength: 7,
		Key: []byte("http://a/b"), Vary: []byte("X, Y"), ETag: []byte(`"e"`), Reason: []byte("Fine"), ContentType: []byte("text/html"),
		Headers: h1.Headers{{Name: []byte("ETag"), Value: []byte(`"e"`), ID: h1.HeaderETag}, {Name: []byte("X-Empty"), Value: []byte{}}},
		Seen:    h1.SetOf(h1.HeaderETag).With(h1.HeaderOther),
	}
}

// A head is read as it was written.
func TestHead(t *testing.T) {
	m := example()
	head := cache.Encode(m, 70)
	got, err := cache.Decode(head, int64(len(head))+70)
	if err != nil {
		t.Fatal(err)
	}
	again := cache.Encode(got, 70)
	if !bytes.Equal(again, head) || !reflect.DeepEqual(got.Headers, m.Headers) || got.Freshness != m.Freshness || got.Seen != m.Seen {
		t.Errorf("%+v", got)
	}
}

// FuzzRead: no file makes the reader panic, allocate without bound or accept what it would not write. Every second
// input gets right checksums.
func FuzzRead(f *testing.F) {
	head := cache.Encode(example(), 70)
	f.Add(head, int64(len(head))+70, false)
	f.Add(head[:150], int64(150), true)
	f.Add(make([]byte, 200), int64(200), true)
	f.Fuzz(func(t *testing.T, data []byte, size int64, reseal bool) {
		data = bytes.Clone(data)
		if reseal {
			cache.Reseal(data)
		}
		m, err := cache.Decode(data, size)
		if err != nil {
			return
		}
		if m.BodyBytes() < 0 || len(m.Headers) > len(data)/8 {
			t.Errorf("%+v", m)
		}
		if again := cache.Encode(m, m.BodyBytes()); len(again) != m.HeadBytes() {
			t.Errorf("%d bytes were written as %d", m.HeadBytes(), len(again))
		}
	})
}
