package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"starling/web/h1"
)

func newDecoder() *decoder {
	return &decoder{table: dynamicTable{limit: tableBytes}, maxStringBytes: 8 << 10, maxBlockBytes: 32 << 10}
}

// decoded is a block as "name: value" lines.
func decoded(d *decoder, block []byte) (lines []string, err error) {
	var memory h1.Arena
	err = d.decode(block, &memory, func(f field) {
		if f.id != h1.Identify(f.name) {
			lines = append(lines, fmt.Sprintf("%s has id %d", f.name, f.id))
		}
		lines = append(lines, string(f.name)+": "+string(f.value))
	})
	return lines, err
}

// The blocks of RFC 7541, C.3, C.4 and C.6 (responses with a table of 256 bytes are left out: ours has 4096).
func TestBlocksOfTheRFC(t *testing.T) {
	for _, blocks := range [][2][]string{
		{
			{"828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865", "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"},
			{"828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"},
		},
	} {
		want := []string{
			":method: GET|:scheme: http|:path: /|:authority: www.example.com",
			":method: GET|:scheme: http|:path: /|:authority: www.example.com|cache-control: no-cache",
			":method: GET|:scheme: https|:path: /index.html|:authority: www.example.com|custom-key: custom-value",
		}
		for _, encoding := range blocks {
			d := newDecoder()
			for i, text := range encoding {
				var block []byte
				fmt.Sscanf(text, "%x", &block)
				lines, err := decoded(d, block)
				if got := strings.Join(lines, "|"); err != nil || got != want[i] {
					t.Errorf("%s: got %s, %v; want %s", text, got, err, want[i])
				}
			}
		}
	}
}

func TestBadBlocks(t *testing.T) {
	for _, c := range []struct {
		name, block string
		code        Code
	}{
		{"index 0", "\x80", CodeCompression},
		{"index beyond the table", "\xbe", CodeCompression},
		{"literal with an index beyond the table", "\x7e\x01a", CodeCompression},
		{"integer that never ends", "\xff\xff\xff\xff\xff", CodeCompression},
		{"integer that is cut off", "\xff", CodeFrameSize},
		{"name without value", "\x40\x01a", CodeFrameSize},
		{"string that is cut off", "\x40\x01a\x05b", CodeFrameSize},
		{"empty name", "\x40\x00\x01a", CodeProtocol},
		{"size update beyond what we allow", "\x3f\xe2\x1f", CodeCompression},
		{"size update behind a field", "\x82\x20", CodeCompression},
		{"EOS in a string", "\x40\x01a\x84\xff\xff\xff\xff", CodeCompression},
		{"padding that is not ones", "\x40\x01a\x81\x18", CodeCompression},
		{"field too long", "\x40\x01a\x7f\x82\x3f" + strings.Repeat("x", 8193), CodeEnhanceYourCalm},
		{"block too long when decoded", "\x40\x01a\x7f\xe1\x0f" + strings.Repeat("x", 2144) + strings.Repeat("\xbe", 20), CodeEnhanceYourCalm},
	} {
		_, err := decoded(newDecoder(), []byte(c.block))
		var f *failure
		if f, _ = err.(*failure); f == nil || f.code != c.code {
			t.Errorf("%s: got %v, want code %d", c.name, err, c.code)
		}
	}
}

// What another encoder makes, with its dynamic table, comes out as it went in.
func TestDecodesWhatOthersEncode(t *testing.T) {
	names := []string{"a", "cookie", "x-long-" + strings.Repeat("n", 40), ":path", "accept", "user-agent", "content-type"}
	rapid.Check(t, func(t *rapid.T) {
		var out bytes.Buffer
		encoder, decoder := hpack.NewEncoder(&out), newDecoder()
		for range rapid.IntRange(1, 30).Draw(t, "blocks") {
			if rapid.IntRange(0, 9).Draw(t, "resize") == 0 {
				encoder.SetMaxDynamicTableSize(uint32(rapid.IntRange(0, tableBytes).Draw(t, "size")))
			}
			var want []string
			out.Reset()
			for range rapid.IntRange(1, 8).Draw(t, "fields") {
				f := hpack.HeaderField{Name: rapid.SampledFrom(names).Draw(t, "name"), Value: rapid.StringN(0, 300, 700).Draw(t, "value"),
					Sensitive: rapid.IntRange(0, 5).Draw(t, "sensitive") == 0}
				if encoder.WriteField(f) != nil {
					t.Fatal("the encoder failed")
				}
				want = append(want, f.Name+": "+f.Value)
			}
			got, err := decoded(decoder, out.Bytes())
			if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Fatalf("got %q, %v\nwant %q", got, err, want)
			}
		}
	})
}

// What we encode, another decoder reads.
func TestOthersDecodeWhatWeEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		status := rapid.IntRange(100, 599).Draw(t, "status")
		block, want := AppendStatus(nil, status), fmt.Sprintf(":status: %d\n", status)
		for range rapid.IntRange(0, 10).Draw(t, "fields") {
			name := rapid.SampledFrom([]string{"Server", "Location", "X-Odd_Name", "set-cookie", "ETag", "X-Accel-Expires"}).Draw(t, "name")
			value := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "value")
			block = AppendField(block, h1.Identify([]byte(name)), []byte(name), value)
			want += strings.ToLower(name) + ": " + string(value) + "\n"
		}
		fields, err := hpack.NewDecoder(tableBytes, nil).DecodeFull(block)
		got := ""
		for _, f := range fields {
			got += f.Name + ": " + f.Value + "\n"
		}
		if err != nil || got != want {
			t.Fatalf("got %q, %v\nwant %q", got, err, want)
		}
	})
}

// FuzzDecode compares with another decoder: what that one takes, we take or find too long; we never read what it does
// not.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"))
	f.Add([]byte("\x20\x3f\xe1\x1f\x40\x01a\x01b\xbe\x0f\x10\x00"))
	f.Fuzz(func(t *testing.T, block []byte) {
		theirs := ""
		other := hpack.NewDecoder(tableBytes, func(f hpack.HeaderField) { theirs += f.Name + ": " + f.Value + "\n" })
		_, theirErr := other.Write(block)
		if theirErr == nil {
			theirErr = other.Close()
		}
		lines, err := decoded(newDecoder(), block)
		ours := ""
		for _, line := range lines {
			ours += line + "\n"
		}
		if hopeless := newDecoder().hopeless(block); hopeless != nil && err == nil {
			t.Fatalf("hopeless says %v of a block that is right", hopeless)
		}
		if err == nil && theirErr == nil && ours != theirs {
			t.Fatalf("we read %q, they %q", ours, theirs)
		}
	})
}
