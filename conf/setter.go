package conf

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"starling/nginx/units"
)

// Field makes a setter of one value from its destination and a parser of the first argument.
func Field[S, T any](place func(*S) *T, parse func(string) (T, error)) Setter {
	return func(settings any, a *Args) error {
		word := ""
		if len(a.Words) > 0 {
			word = a.Words[0]
		}
		v, err := parse(word)
		if err != nil {
			return err
		}
		*place(settings.(*S)) = v
		return nil
	}
}

// Whole makes a setter of one value that is parsed from all arguments.
func Whole[S, T any](place func(*S) *T, parse func(*Args) (T, error)) Setter {
	return func(settings any, a *Args) error {
		v, err := parse(a)
		if err != nil {
			return err
		}
		*place(settings.(*S)) = v
		return nil
	}
}

// List makes a setter that appends. The first write on a level drops the inherited list. So each level's list starts
// empty and never shares an array with another level.
func List[S, T any](place func(*S) *[]T, parse func(*Args) (T, error)) Setter {
	return func(settings any, a *Args) error {
		v, err := parse(a)
		if err != nil {
			return err
		}
		list := place(settings.(*S))
		if a.FirstWrite(list) {
			*list = nil
		}
		*list = append(*list, v)
		return nil
	}
}

// Words makes a setter that stores all words of a directive and replaces inherited ones; further directives of the same
// level append (index, server_name).
func Words[S any](place func(*S) *[]string) Setter {
	return func(settings any, a *Args) error {
		list := place(settings.(*S))
		if a.FirstWrite(list) {
			*list = nil
		}
		*list = append(*list, a.Words...)
		return nil
	}
}

// Raw makes a setter of a typed function.
func Raw[S any](set func(*S, *Args) error) Setter {
	return func(settings any, a *Args) error { return set(settings.(*S), a) }
}

// String parses nothing.
func String(text string) (string, error) { return text, nil }

// Flag parses on and off. With the Syntax "on | off", other words do not reach it.
func Flag(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, fmt.Errorf("invalid value \"%s\", it must be \"on\" or \"off\"", text)
}

// Size parses bytes: "32k", "1m".
func Size(text string) (int64, error) { return verdict(units.Size(text)) }

// Offset parses bytes like Size, and also accepts g.
func Offset(text string) (int64, error) { return verdict(units.Offset(text)) }

// Time parses a duration with millisecond resolution: "1s500ms", "1h".
func Time(text string) (time.Duration, error) { return verdict(units.Time(text)) }

// Seconds parses a duration with second resolution; it accepts years and months: "30d", "1M".
func Seconds(text string) (time.Duration, error) { return verdict(units.Seconds(text)) }

func verdict[T any](v T, err error) (T, error) {
	if err != nil {
		return v, InvalidValue
	}
	return v, nil
}

// Number parses a number that is not negative.
func Number(text string) (int, error) {
	n, err := units.Number(text)
	if err != nil || n > math.MaxInt {
		return 0, InvalidNumber
	}
	return int(n), nil
}

// Int parses a number from low to high.
func Int(low, high int) func(string) (int, error) { return Between(Number, low, high) }

// Bounds is Int with the error of nginx's own bounds, ngx_conf_check_num_bounds, which does not name the directive.
func Bounds(low, high int) func(string) (int, error) {
	return func(text string) (int, error) {
		v, err := Int(low, high)(text)
		if outside, is := err.(Verdict); is && outside != InvalidNumber {
			err = errors.New(outside.Error())
		}
		return v, err
	}
}

// AtLeast restricts a parser to values from low on.
func AtLeast[T cmp.Ordered](parse func(string) (T, error), low T) func(string) (T, error) {
	return func(text string) (T, error) {
		v, err := parse(text)
		if err == nil && v < low {
			err = Verdict(fmt.Sprintf("value must be equal to or greater than %v", low))
		}
		return v, err
	}
}

// Between restricts a parser to values from low to high.
func Between[T cmp.Ordered](parse func(string) (T, error), low, high T) func(string) (T, error) {
	return func(text string) (T, error) {
		v, err := parse(text)
		if err == nil && (v < low || v > high) {
			err = Verdict(fmt.Sprintf("value must be between %v and %v", low, high))
		}
		return v, err
	}
}

// OneOf parses one of a few words, ignoring case, as nginx's enumerations do.
func OneOf[T any](names map[string]T) func(string) (T, error) {
	return func(text string) (T, error) {
		v, known := names[strings.ToLower(text)]
		if !known {
			return v, fmt.Errorf("invalid value \"%s\"", text)
		}
		return v, nil
	}
}
