// Package httptime reads the times in header fields as nginx does (ngx_parse_http_time): the three forms of RFC 9110,
// section 5.6.7, and whatever else that function takes for one of them. It ignores the day of the week and what follows
// the seconds, such as the time zone, or "; length=3" of old clients.
package httptime

import "time"

// parser reads a time from its start; a step that fails makes it fail.
type parser struct {
	rest   []byte
	failed bool
}

// Parse returns a time in seconds since 1970; ok is false if the text is none.
func Parse(text []byte) (seconds int64, ok bool) {
	i := 0
	for i < len(text) && text[i] != ',' && text[i] != ' ' {
		i++
	}
	asctime := i < len(text) && text[i] == ' ' // Mon Jan  2 15:04:05 2006
	for i++; i < len(text) && text[i] == ' '; i++ {
	}
	if len(text)-i < len("02-Jan-06 15:04:05") {
		return 0, false
	}
	p := parser{rest: text[i:]}
	var year, month, day int
	if asctime {
		month = p.month()
		p.is(' ')
		if p.next() == ' ' {
			p.is(' ')
		}
		if day = p.digits(1); p.next() != ' ' {
			day = day*10 + p.digits(1)
		}
	} else {
		day = p.digits(2)
		separator := p.next() // Mon, 02 Jan 2006 15:04:05, or Monday, 02-Jan-06 15:04:05
		p.failed = p.failed || separator != ' ' && separator != '-'
		p.is(separator)
		month = p.month()
		p.is(separator)
		if separator == ' ' {
			year = p.digits(4)
		} else if year = 1900 + p.digits(2); year < 1970 {
			year += 100
		}
	}
	p.is(' ')
	hour := p.digits(2)
	p.is(':')
	minute := p.digits(2)
	p.is(':')
	second := p.digits(2)
	if asctime {
		p.is(' ')
		year = p.digits(4)
	}
	if p.failed || hour > 23 || minute > 59 || second > 59 || day > daysOf(month, year) {
		return 0, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Unix(), true
}

// next is the next byte, 0 at the end.
func (p *parser) next() byte {
	if len(p.rest) == 0 {
		return 0
	}
	return p.rest[0]
}

// is takes a byte that must be there.
func (p *parser) is(c byte) {
	if p.next() != c || len(p.rest) == 0 {
		p.failed, p.rest = true, nil
		return
	}
	p.rest = p.rest[1:]
}

// digits takes a number of n digits.
func (p *parser) digits(n int) (number int) {
	for range n {
		c := p.next()
		if c < '0' || c > '9' {
			p.failed, p.rest = true, nil
			return 0
		}
		number, p.rest = number*10+int(c-'0'), p.rest[1:]
	}
	return number
}

// month takes three letters, of which as many are compared as tell the months apart.
func (p *parser) month() int {
	if len(p.rest) < 3 {
		p.failed = true
		return 0
	}
	name := p.rest[:3]
	p.rest = p.rest[3:]
	switch name[0] {
	case 'J':
		switch {
		case name[1] == 'a':
			return 1
		case name[2] == 'n':
			return 6
		}
		return 7
	case 'F':
		return 2
	case 'M':
		if name[2] == 'r' {
			return 3
		}
		return 5
	case 'A':
		if name[1] == 'p' {
			return 4
		}
		return 8
	case 'S':
		return 9
	case 'O':
		return 10
	case 'N':
		return 11
	case 'D':
		return 12
	}
	p.failed = true
	return 0
}

// daysOf is the number of days of a month.
func daysOf(month, year int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
