package logs

import (
	"fmt"
	"strconv"
	"time"

	"starling/nginx/errno"
	"starling/nginx/logescape"
)

// jsonTime is RFC 3339 with milliseconds: like an access log's $time_iso8601, with more precision.
const jsonTime = "2006-01-02T15:04:05.000Z07:00"

// appendJSONLine makes one line of JSON: time, level, pid and message, then connection, client, server, request and
// further context. docs/operating.md has the schema.
func appendJSONLine(line []byte, now time.Time, pid int, level Level, format string, args []any) []byte {
	connection, context, args := apart(args)
	line = append(line, `{"time":"`...)
	line = now.AppendFormat(line, jsonTime)
	line = append(line, `","level":"`...)
	line = append(line, level.String()...)
	line = append(line, `","pid":`...)
	line = strconv.AppendInt(line, int64(pid), 10)
	line = appendField(line, "message", fmt.Sprintf(format, errno.Args(args)...))
	if connection != 0 {
		line = append(line, `,"connection":`...)
		line = strconv.AppendUint(line, uint64(connection), 10)
	}
	for _, f := range context {
		line = appendField(line, f.Name, f.Value)
	}
	return append(line, '}', '\n')
}

// appendField adds a text, bounded like a whole line of other logs: data from a client must not fill the disk.
func appendField(line []byte, name, value string) []byte {
	if len(value) > maxErrorLine {
		value = value[:maxErrorLine]
	}
	line = append(append(append(line, `,"`...), name...), `":"`...)
	line = logescape.JSON.Append(line, []byte(value))
	return append(line, '"')
}
