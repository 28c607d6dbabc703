package ssi

import (
	"fmt"
	"strconv"
	"time"

	"starling/side"
	"starling/vars"
	"starling/web"
)

// defaultTimeFormat is nginx's.
const defaultTimeFormat = "%A, %d-%b-%Y %H:%M:%S %Z"

// The variables of dates.
const dateGMT, dateLocal = "date_gmt", "date_local"

// maxDateBytes bounds a date: a format is as long as ssi_value_length allows, and its parts can be longer.
const maxDateBytes = 2048

func dateVariable(name, doc string, utc bool) vars.Variable[*web.Request] {
	return vars.Variable[*web.Request]{Name: name, Doc: doc,
		Append: func(r *web.Request, _ string, dst []byte) ([]byte, bool) {
			format := []byte(defaultTimeFormat)
			if s := side.DataOf[state](r); s != nil && s.timeFormat != nil {
				format = s.timeFormat
			}
			now := time.UnixMilli(r.Now().WallMS).Local()
			if utc {
				now = now.UTC()
			}
			return appendDate(dst, format, now)
		}}
}

// goLayouts are the conversions of strftime in the C locale that are layouts of Go.
var goLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02",
	'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM",
	'P': "pm", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05",
	'y': "06", 'Y': "2006", 'z': "-0700",
}

// appendDate is strftime. It returns false for a result that is empty or too long, as nginx then has no value.
func appendDate(dst, format []byte, t time.Time) ([]byte, bool) {
	start := len(dst)
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' || i+1 == len(format) {
			dst = append(dst, c)
			continue
		}
		i++
		dst = appendConversion(dst, format[i], t)
		if len(dst)-start > maxDateBytes {
			return dst[:start], false
		}
	}
	return dst, len(dst) > start
}

func appendConversion(dst []byte, c byte, t time.Time) []byte {
	if layout := goLayouts[c]; layout != "" {
		return t.AppendFormat(dst, layout)
	}
	year, week := t.ISOWeek()
	switch c {
	case 'C':
		return fmt.Appendf(dst, "%02d", t.Year()/100)
	case 'g':
		return fmt.Appendf(dst, "%02d", year%100)
	case 'G':
		return strconv.AppendInt(dst, int64(year), 10)
	case 'k':
		return fmt.Appendf(dst, "%2d", t.Hour())
	case 'l':
		return fmt.Appendf(dst, "%2d", (t.Hour()+11)%12+1)
	case 'n':
		return append(dst, '\n')
	case 's':
		return strconv.AppendInt(dst, t.Unix(), 10)
	case 't':
		return append(dst, '\t')
	case 'u':
		return strconv.AppendInt(dst, int64(t.Weekday()+6)%7+1, 10)
	case 'U':
		return fmt.Appendf(dst, "%02d", (t.YearDay()+6-int(t.Weekday()))/7)
	case 'V':
		return fmt.Appendf(dst, "%02d", week)
	case 'w':
		return strconv.AppendInt(dst, int64(t.Weekday()), 10)
	case 'W':
		return fmt.Appendf(dst, "%02d", (t.YearDay()+6-int(t.Weekday()+6)%7)/7)
	case 'Z':
		if t.Location() == time.UTC {
			return append(dst, "GMT"...) // as the C library calls it
		}
		name, _ := t.Zone()
		return append(dst, name...)
	case '%':
		return append(dst, '%')
	}
	return append(dst, '%', c)
}
