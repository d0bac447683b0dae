package scenario

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// maxDuration bounds every duration in a file, so that sums of them cannot overflow.
const maxDuration = 24 * time.Hour

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxDuration {
		return 0, fmt.Errorf("%q is not a duration such as 40ms or 1.5s, of a day at most", s)
	}
	return d, nil
}

func parsePositive(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	if err == nil && d == 0 {
		err = fmt.Errorf("a duration here is more than 0")
	}
	return d, err
}

func parseSeconds(s string) (float64, error) {
	d, err := parseDuration(s)
	return d.Seconds(), err
}

// parseShare reads a percentage as a number from 0 to 1.
func parseShare(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("%q is not a share such as 30%%", s)
	}
	return v / 100, nil
}

func parseCount(s string) (float64, error) {
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return float64(v), nil
}

// parseRate reads bits a second.
func parseRate(s string) (int64, error) {
	return parseUnit(s, "a rate such as 50mbit", []unit{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}})
}

// parseBytes reads a number of bytes.
func parseBytes(s string) (int64, error) {
	return parseUnit(s, "a size such as 4MB", []unit{{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}})
}

type unit struct {
	name   string
	factor float64
}

func parseUnit(s, what string, units []unit) (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil && v > 0 && v*u.factor <= 1e12 {
			return int64(math.Round(v * u.factor)), nil
		}
	}
	return 0, fmt.Errorf("%q is not %s", s, what)
}

func parseSize(s string) (int, error) {
	v, err := strconv.Atoi(s)
	if err != nil || v < 16 || v > 1300 {
		return 0, fmt.Errorf("%q is not a packet size from 16 to 1300 bytes", s)
	}
	return v, nil
}

func parseUint(s string) (uint64, error) {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return v, nil
}

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, fmt.Errorf("%q is neither true nor false", s)
	}
	return s == "true", nil
}

func parseText(s string) (string, error) { return strings.TrimSpace(s), nil }

func parseAddress(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || !addr.Is4() || !addr.IsGlobalUnicast() {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address such as 198.51.100.1", s)
	}
	return addr, nil
}

func parseNAT(s string) (NAT, error) {
	if NAT(s) != Masquerade {
		return "", fmt.Errorf("nat is %s or absent, not %q", Masquerade, s)
	}
	return Masquerade, nil
}

// maxName bounds a name; a node's name is a DNS label (RFC 1035).
const maxName = 63

func parseName(s string) (string, error) {
	ok := len(s) > 0 && len(s) <= maxName && s[0] != '-'
	for _, c := range s {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return "", fmt.Errorf("%q is not a name: small letters, digits and hyphens, at most %d", s, maxName)
	}
	return s, nil
}

// parsePair reads "a -> b" or "a -- b".
func parsePair(s string) (Pair, error) {
	for _, arrow := range []string{" -> ", " -- "} {
		from, to, ok := strings.Cut(s, arrow)
		if !ok {
			continue
		}
		pair := Pair{From: strings.TrimSpace(from), To: strings.TrimSpace(to), Both: arrow == " -- "}
		if _, err := parseName(pair.From); err != nil {
			return Pair{}, err
		}
		if _, err := parseName(pair.To); err != nil {
			return Pair{}, err
		}
		if pair.From == pair.To {
			return Pair{}, fmt.Errorf("%q names one site twice", s)
		}
		return pair, nil
	}
	return Pair{}, fmt.Errorf("%q is neither one direction, a -> b, nor both, a -- b", s)
}

// parseOneWay reads "a -> b".
func parseOneWay(s string) (Pair, error) {
	pair, err := parsePair(s)
	if err == nil && pair.Both {
		err = fmt.Errorf("%q names both directions; one is wanted here, a -> b", s)
	}
	return pair, err
}

// parseMoment reads "5s", "5s..8s", "cut", "cut + 2s", "cut - 100ms" or "cut + 1s..2s".
func parseMoment(s string) (Moment, error) {
	base, rest, sign := MomentStart, s, time.Duration(1)
	if first := strings.TrimSpace(s); first != "" && first[0] >= 'a' && first[0] <= 'z' {
		base, rest = first, "0s"
		for _, op := range []struct {
			text string
			sign time.Duration
		}{{" + ", 1}, {" - ", -1}} {
			if before, after, ok := strings.Cut(first, op.text); ok {
				base, rest, sign = strings.TrimSpace(before), after, op.sign
				break
			}
		}
		if _, err := parseName(base); err != nil {
			return Moment{}, err
		}
	}
	least, most, random := strings.Cut(strings.TrimSpace(rest), "..")
	a, err := parseDuration(least)
	if err != nil {
		return Moment{}, fmt.Errorf("%q is not a moment such as 5s, 5s..8s or cut + 2s", s)
	}
	m := Moment{Base: base, After: sign * a}
	if random {
		b, err := parseDuration(most)
		if err != nil || b < a || sign < 0 {
			return Moment{}, fmt.Errorf("%q is not a span of time such as 5s..8s", s)
		}
		m.Spread = b - a
	}
	return m, nil
}

// parseRoute reads "direct", "relayed" or "via a, b".
func parseRoute(s string) (Route, error) {
	switch s {
	case "direct":
		return Route{Direct: true}, nil
	case "relayed":
		return Route{Relayed: true}, nil
	}
	list, ok := strings.CutPrefix(s, "via ")
	if !ok {
		return Route{}, fmt.Errorf("%q is not a path: direct, relayed, or via a, b", s)
	}
	var r Route
	for name := range strings.SplitSeq(list, ",") {
		name, err := parseName(strings.TrimSpace(name))
		if err != nil {
			return Route{}, err
		}
		r.Via = append(r.Via, name)
	}
	return r, nil
}
