package h2

import "starling/web/h1"

// staticEntries is the table of RFC 7541, appendix A; index 1 comes first.
var staticEntries = [...][2]string{
	{":authority", ""},
	{":method", "GET"},
	{":method", "POST"},
	{":path", "/"},
	{":path", "/index.html"},
	{":scheme", "http"},
	{":scheme", "https"},
	{":status", "200"},
	{":status", "204"},
	{":status", "206"},
	{":status", "304"},
	{":status", "400"},
	{":status", "404"},
	{":status", "500"},
	{"accept-charset", ""},
	{"accept-encoding", "gzip, deflate"},
	{"accept-language", ""},
	{"accept-ranges", ""},
	{"accept", ""},
	{"access-control-allow-origin", ""},
	{"age", ""},
	{"allow", ""},
	{"authorization", ""},
	{"cache-control", ""},
	{"content-disposition", ""},
	{"content-encoding", ""},
	{"content-language", ""},
	{"content-length", ""},
	{"content-location", ""},
	{"content-range", ""},
	{"content-type", ""},
	{"cookie", ""},
	{"date", ""},
	{"etag", ""},
	{"expect", ""},
	{"expires", ""},
	{"from", ""},
	{"host", ""},
	{"if-match", ""},
	{"if-modified-since", ""},
	{"if-none-match", ""},
	{"if-range", ""},
	{"if-unmodified-since", ""},
	{"last-modified", ""},
	{"link", ""},
	{"location", ""},
	{"max-forwards", ""},
	{"proxy-authenticate", ""},
	{"proxy-authorization", ""},
	{"range", ""},
	{"referer", ""},
	{"refresh", ""},
	{"retry-after", ""},
	{"server", ""},
	{"set-cookie", ""},
	{"strict-transport-security", ""},
	{"transfer-encoding", ""},
	{"user-agent", ""},
	{"vary", ""},
	{"via", ""},
	{"www-authenticate", ""},
}

// staticField is an entry of the static table as bytes.
type staticField struct {
	name, value []byte
	id          h1.Known
}

// staticTable is staticEntries by index (0 is unused); staticNames gives the index of a known header's name.
var staticTable, staticNames = func() (table [len(staticEntries) + 1]staticField, names [64]uint8) {
	for i, e := range staticEntries {
		id := h1.Identify([]byte(e[0]))
		table[i+1] = staticField{[]byte(e[0]), []byte(e[1]), id}
		if id != h1.HeaderOther && names[id] == 0 {
			names[id] = uint8(i + 1)
		}
	}
	return table, names
}()

// Indices of the static table that responses begin with.
const (
	staticStatus200 = 8
)
