package units

import (
	"math"
	"strconv"
	"time"
)

// timeUnit is one suffix of a time; units must be in descending order and each at most once.
type timeUnit struct {
	step    int // larger means finer
	seconds int64
}

const (
	stepNone = iota
	stepYear
	stepMonth
	stepWeek
	stepDay
	stepHour
	stepMinute
	stepSecond
	stepMillisecond
	stepLast
)

var timeUnits = map[byte]timeUnit{
	'y': {stepYear, 365 * 24 * 3600},
	'M': {stepMonth, 30 * 24 * 3600},
	'w': {stepWeek, 7 * 24 * 3600},
	'd': {stepDay, 24 * 3600},
	'h': {stepHour, 3600},
	'm': {stepMinute, 60},
	's': {stepSecond, 1},
	' ': {stepLast, 1}, // "1h 30": a number that a space ends counts seconds
}

// parseTime follows ngx_parse_time: the total in units of resolution (a second or a millisecond).
func parseTime(text string, resolution time.Duration) (int64, error) {
	perSecond := int64(time.Second / resolution)
	step := stepNone
	if resolution == time.Millisecond {
		step = stepMonth
	}
	var total, value int64
	digits := false
	for i := 0; i < len(text); {
		c := text[i]
		i++
		if c >= '0' && c <= '9' {
			digit := int64(c - '0')
			if value > (math.MaxInt64-digit)/10 {
				return 0, ErrInvalid
			}
			value, digits = value*10+digit, true
			continue
		}
		unit, known := timeUnits[c]
		scale := unit.seconds * perSecond
		if c == 'm' && i < len(text) && text[i] == 's' {
			i++
			unit.step, scale, known = stepMillisecond, 1, resolution == time.Millisecond
		}
		// A space is rejected after seconds and, unlike the units, does not count as a step of its own before.
		if !known || step >= unit.step || unit.step == stepLast && step >= stepSecond {
			return 0, ErrInvalid
		}
		step = unit.step
		if value > math.MaxInt64/scale || total > math.MaxInt64-value*scale {
			return 0, ErrInvalid
		}
		total, value = total+value*scale, 0
		for i < len(text) && text[i] == ' ' {
			i++
		}
	}
	if !digits || value > math.MaxInt64/perSecond || total > math.MaxInt64-value*perSecond {
		return 0, ErrInvalid
	}
	return total + value*perSecond, nil
}

// AppendSeconds writes milliseconds as nginx's variables show a duration: in seconds with three decimals, or as "-" if
// negative, which stands for none.
func AppendSeconds(dst []byte, ms int64) []byte {
	if ms < 0 {
		return append(dst, '-')
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	ms %= 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}
