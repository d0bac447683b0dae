package config

import (
	"net/netip"
	"regexp"
	"slices"
	"time"

	"overlayd/pathselect"
)

// Bounds of single settings.
const (
	minMTU       = 1280 // the least that IPv6 allows (RFC 8200, section 5)
	maxMTU       = 65000
	maxSocketLen = 107 // sun_path of unix(7) less its final zero
	maxIfnameLen = 15  // IFNAMSIZ less its final zero
	minInterval  = 10 * time.Millisecond
	maxInterval  = 5 * time.Minute
	minHold      = 100 * time.Millisecond
	maxHold      = time.Minute
	minMargin    = 100 * time.Microsecond
	maxMargin    = time.Second
	minRatio     = 0.01
	maxRatio     = 1
)

var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// check holds a decoded Config against its bounds.
func check(c *Config) error {
	switch {
	case c.State == "":
		return bad("state", "a directory is needed")
	case c.Socket == "" || len(c.Socket) > maxSocketLen:
		return bad("socket", "a path of 1 to %d bytes is needed, this has %d", maxSocketLen, len(c.Socket))
	case !validInterface(c.Interface):
		return bad("interface", "%q is no name for an interface: take 1 to %d letters, digits, - or _",
			c.Interface, maxIfnameLen)
	case c.Name != "" && !nodeName.MatchString(c.Name):
		return bad("name", "%q is no name for a node: take up to 63 small letters, digits and inner hyphens", c.Name)
	case c.MTU < minMTU || c.MTU > maxMTU:
		return bad("mtu", "%d is out of range: choose %d to %d", c.MTU, minMTU, maxMTU)
	case len(c.Endpoints) > MaxEndpoints:
		return bad("endpoints", "%d are too many: give at most %d", len(c.Endpoints), MaxEndpoints)
	case len(c.Subnets) > MaxSubnets:
		return bad("subnets", "%d are too many: give at most %d", len(c.Subnets), MaxSubnets)
	case len(c.Gateways) > MaxGateways:
		return bad("gateway", "%d are too many: give at most %d", len(c.Gateways), MaxGateways)
	case len(c.Labels) > MaxLabels:
		return bad("labels", "%d are too many: give at most %d", len(c.Labels), MaxLabels)
	case len(c.Classes) > MaxClasses:
		return bad("classes", "%d rules are too many: give at most %d", len(c.Classes), MaxClasses)
	case c.Copies == 0:
		return bad("copies", "there is no such bound: choose 10k to 1000G bits a second")
	case !(c.Select.Ratio >= minRatio && c.Select.Ratio <= maxRatio): // also catches NaN
		return bad("select::ratio", "%g is out of range: choose %g to %g", c.Select.Ratio, minRatio, float64(maxRatio))
	}
	if err := checkRange("select::hold", c.Select.Hold, minHold, maxHold); err != nil {
		return err
	}
	if err := checkRange("select::margin", c.Select.Margin, minMargin, maxMargin); err != nil {
		return err
	}
	if _, err := pathselect.Lookup(string(c.Select.Algorithm)); err != nil {
		return bad("select::algorithm", "%w", err)
	}
	if err := checkNetworks(c); err != nil {
		return err
	}
	return checkIntervals(c.Probe)
}

// checkNetworks holds subnets and gateways against each other.
func checkNetworks(c *Config) error {
	for i, p := range c.Subnets {
		if slices.Contains(c.Subnets[:i], p) {
			return bad("subnets", "%v is given twice: keep one of them", p)
		}
	}
	for i, a := range c.Gateways {
		within := func(p netip.Prefix) bool { return p.Contains(a) && (p.Addr() != a || p.IsSingleIP()) }
		switch {
		case slices.Contains(c.Gateways[:i], a):
			return bad("gateway", "%v is given twice: keep one of them", a)
		case !slices.ContainsFunc(c.Subnets, within):
			return bad("gateway", "%v is no host's address within one of the subnets: name its network there as well", a)
		}
	}
	return nil
}

func checkIntervals(p Probe) error {
	rows := []struct {
		key string
		d   time.Duration
	}{
		{"probe::selected", p.Selected}, {"probe::standby", p.Standby}, {"probe::recent", p.Recent}, {"probe::idle", p.Idle},
	}
	for i, r := range rows {
		if err := checkRange(r.key, r.d, minInterval, maxInterval); err != nil {
			return err
		}
		if i > 0 && r.d < rows[i-1].d {
			return bad(r.key, "%v is shorter than %s, which is %v: make it at least as long",
				r.d, dotted(rows[i-1].key), rows[i-1].d)
		}
	}
	return nil
}

func checkRange(key string, d, least, most time.Duration) error {
	if d < least || d > most {
		return bad(key, "%v is out of range: choose %v to %v", d, least, most)
	}
	return nil
}

func validInterface(name string) bool {
	if name == "" || len(name) > maxIfnameLen {
		return false
	}
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && !(r >= '0' && r <= '9') && r != '-' && r != '_' {
			return false
		}
	}
	return true
}
