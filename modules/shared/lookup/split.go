package lookup

import (
	"fmt"
	"strconv"
	"strings"

	"starling/conf"
	"starling/side"
	"starling/vars"
)

// split is one split_clients block.
type split[C side.Subject] struct {
	source vars.Template[C]
	shares []share[C]
	rest   *choice[C]
}

// share gets the hashes below a bound that are not below that of the previous share.
type share[C side.Subject] struct {
	below uint32
	value *choice[C]
}

// wholePercent is 100 % in hundredths of a percent.
const wholePercent = 10000

func (s *family[C]) declareSplit(a *conf.Args) error {
	source, err := s.side.Variables(side.PlanOf(a)).Compile(a.Words[0], a.Node)
	if err != nil {
		return err
	}
	name, err := variableName(a.Words[1])
	if err != nil {
		return err
	}
	x := &split[C]{source: source, rest: none[C]()}
	sum, bound, ended := 0, uint32(0), false
	for _, line := range a.Node.Block {
		if len(line.Words) != 1 {
			return conf.At(line, "invalid number of the split_clients parameters")
		}
		value := &choice[C]{literal: []byte(line.Words[0])}
		percent, err := parsePercent(line.Name)
		if err != nil {
			return conf.At(line, "%s", err)
		}
		if sum += percent; sum > wholePercent || ended {
			return conf.AtEnd(a.Node, "percent total is greater than 100%%")
		}
		if percent == 0 {
			x.rest, ended = value, true
			continue
		}
		bound += uint32(uint64(percent) * 0xffffffff / wholePercent)
		x.shares = append(x.shares, share[C]{bound, value})
	}
	return s.declare(a, name, "The part of the clients that `"+a.Words[0]+"` falls into.", false, x)
}

// parsePercent reads "0.5%" as hundredths of a percent, "*" as 0.
func parsePercent(text string) (int, error) {
	invalid := fmt.Errorf("invalid percent value \"%s\"", text)
	if text == "*" {
		return 0, nil
	}
	number, ok := strings.CutSuffix(text, "%")
	whole, fraction, _ := strings.Cut(number, ".")
	if !ok || whole+fraction == "" || len(fraction) > 2 || len(whole) > 3 {
		return 0, invalid
	}
	n, err := strconv.ParseUint(whole+fraction+"00"[len(fraction):], 10, 32)
	if err != nil || n == 0 {
		return 0, invalid
	}
	return int(n), nil
}

func (x *split[C]) find(c C, dst []byte) (*choice[C], []byte) {
	start := len(dst)
	dst = x.source.Append(dst, c)
	hash := murmur2(dst[start:])
	dst = dst[:start]
	for i := range x.shares {
		if hash < x.shares[i].below {
			return x.shares[i].value, dst
		}
	}
	return x.rest, dst
}

// murmur2 is Austin Appleby's MurmurHash2 with seed 0, as in nginx.
func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h *= m
		h ^= k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
