// Package units reads the sizes, times and rates of nginx.conf, exactly as strictly as nginx does.
package units

import (
	"errors"
	"math"
	"strings"
	"time"
)

// ErrInvalid is returned for every text that nginx would reject; the caller names the directive.
var ErrInvalid = errors.New("invalid value")

// Size units of nginx: powers of 1024.
const (
	Kilo int64 = 1 << 10
	Mega int64 = 1 << 20
	Giga int64 = 1 << 30
)

// Number reads an unsigned decimal number; signs, spaces and empty texts are errors.
func Number(text string) (int64, error) {
	if text == "" {
		return 0, ErrInvalid
	}
	var n int64
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, ErrInvalid
		}
		digit := int64(c - '0')
		if n > (math.MaxInt64-digit)/10 {
			return 0, ErrInvalid
		}
		n = n*10 + digit
	}
	return n, nil
}

// Size reads a number of bytes with an optional unit k or m: "32k", "1M", "512".
func Size(text string) (int64, error) {
	return scaled(text, false)
}

// Offset is Size with g as a further unit. nginx accepts g only for offsets in files.
func Offset(text string) (int64, error) {
	return scaled(text, true)
}

func scaled(text string, giga bool) (int64, error) {
	if text == "" {
		return 0, ErrInvalid
	}
	scale, digits := int64(1), text[:len(text)-1]
	switch c := text[len(text)-1]; {
	case c == 'k' || c == 'K':
		scale = Kilo
	case c == 'm' || c == 'M':
		scale = Mega
	case giga && (c == 'g' || c == 'G'):
		scale = Giga
	default:
		digits = text
	}
	n, err := Number(digits)
	if err != nil || n > math.MaxInt64/scale {
		return 0, ErrInvalid
	}
	return n * scale, nil
}

// Rate reads "5r/s" or "30r/m" in thousandths of a request per second, the resolution of nginx: 1r/m is 16.
// A number without unit is per second, as in nginx.
func Rate(text string) (milliPerSecond int64, err error) {
	digits, perMinute := strings.CutSuffix(text, "r/m")
	if !perMinute {
		digits = strings.TrimSuffix(text, "r/s")
	}
	n, err := Number(digits)
	if err != nil || n == 0 || n > math.MaxInt64/1000 {
		return 0, ErrInvalid
	}
	if perMinute {
		return n * 1000 / 60, nil
	}
	return n * 1000, nil
}

// Time reads a duration of millisecond resolution: "1h30m", "1s500ms", "20" (seconds). Years and months are rejected
// here, as in nginx.
func Time(text string) (time.Duration, error) {
	ms, err := parseTime(text, time.Millisecond)
	if err != nil || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0, ErrInvalid
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Seconds reads a duration of second resolution: "1y", "1M" (30 days), "10m", "20". It rejects "ms".
func Seconds(text string) (time.Duration, error) {
	s, err := parseTime(text, time.Second)
	if err != nil || s > math.MaxInt64/int64(time.Second) {
		return 0, ErrInvalid
	}
	return time.Duration(s) * time.Second, nil
}
