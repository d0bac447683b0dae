package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"overlayd/internal/wire"
)

// MaxClasses bounds the rules for traffic classes: each packet of a new flow is held against them, one after the other.
const MaxClasses = 32

// ClassRule gives a traffic class to the packets that meet all of its conditions; one that is empty is met by each. It has
// one condition at least.
//
//   - {class: critical, protocol: udp, port: [5060, 5061]}     in the file
//     critical protocol=udp port=5060 port=5061                  as text
type ClassRule struct {
	Class     wire.TrafficClass
	DSCP      []uint8        // code points, 0 to 63
	Protocols []uint8        // IP protocol numbers
	Ports     []PortRange    // of the source or the destination
	Networks  []netip.Prefix // of the destination
	Peer      string         // name or overlay address of a node; empty: any
}

// PortRange is some ports with both ends.
type PortRange struct{ First, Last uint16 }

// condition is one key of a rule.
type condition struct {
	key    string
	values []string
}

const conditionKeys = "dscp, protocol, port, network or peer"

// decodeClasses takes a list of rules, each a map or text, or text with commas.
func decodeClasses(data any) ([]ClassRule, error) {
	list, ok := data.([]any)
	if !ok {
		items, err := listItems(data, "rules")
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			list = append(list, item)
		}
	}
	var rules []ClassRule
	for _, item := range list {
		conditions, err := conditionsOf(item)
		if err != nil {
			return nil, err
		}
		rule, err := newClassRule(conditions)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// conditionsOf takes a rule apart, one of which is the class.
func conditionsOf(item any) (list []condition, err error) {
	switch item := item.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(item)) {
			values, err := valuesOf(item[key])
			if err != nil {
				return nil, err
			}
			list = append(list, condition{strings.ToLower(key), values})
		}
		return list, nil
	case string:
		for _, word := range strings.Fields(item) {
			key, value, found := strings.Cut(word, "=")
			if !found {
				key, value = "class", word
			}
			list = append(list, condition{strings.ToLower(key), []string{value}})
		}
		return list, nil
	}
	return nil, bad("", "a rule for a class is written such as {class: critical, protocol: udp, port: 5060}")
}

// valuesOf are one value, or a list of them.
func valuesOf(data any) (values []string, err error) {
	list, ok := data.([]any)
	if !ok {
		list = []any{data}
	}
	for _, item := range list {
		value, err := scalar(item)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func newClassRule(conditions []condition) (rule ClassRule, err error) {
	classed, bounded := false, false
	for _, c := range conditions {
		for _, value := range c.values {
			if c.key == "class" && !classed {
				classed = true
				rule.Class, err = parseClass(value)
			} else {
				bounded = true
				err = rule.add(c.key, value)
			}
			if err != nil {
				return rule, err
			}
		}
	}
	switch {
	case !classed:
		return rule, bad("", "a rule needs a class: bulk, default, interactive or critical")
	case !bounded:
		return rule, bad("", "a rule for %v needs a condition, or it is for everything: add %s", rule.Class, conditionKeys)
	case len(rule.Ports) == 0:
		return rule, nil
	}
	for _, p := range rule.Protocols {
		switch p {
		case 6, 17, 33, 132, 136: // TCP, UDP, DCCP, SCTP, UDP-Lite
		default:
			return rule, bad("", "a rule with a port is for protocols that have ports: leave out the port, or protocol %d", p)
		}
	}
	return rule, nil
}

// add adds a condition to a rule.
func (r *ClassRule) add(key, value string) error {
	switch key {
	case "class":
		return bad("", "a rule has one class: write another rule for %q", value)
	case "dscp":
		d, err := parseDSCP(value)
		r.DSCP = append(r.DSCP, d)
		return err
	case "protocol":
		p, err := parseProtocol(value)
		r.Protocols = append(r.Protocols, p...)
		return err
	case "port":
		p, err := parsePorts(value)
		r.Ports = append(r.Ports, p)
		return err
	case "network":
		p, err := parseDestination(value)
		r.Networks = append(r.Networks, p)
		return err
	case "peer":
		if r.Peer != "" {
			return bad("", "a rule has one peer: write another rule for %q", value)
		}
		if _, err := netip.ParseAddr(value); err != nil && !nodeName.MatchString(value) {
			return bad("", "%q is no name of a node: overlayctl peers lists them", value)
		}
		r.Peer = value
		return nil
	}
	return bad("", "%q is no condition of a class: use %s", key, conditionKeys)
}

func parseClass(text string) (wire.TrafficClass, error) {
	class, ok := wire.ParseTrafficClass(text)
	if !ok {
		return 0, bad("", "%q is not bulk, default, interactive or critical", text)
	}
	return class, nil
}

// parseDSCP reads a code point: a number, or a name of RFC 2474, 2597, 3246, 5865 or 8622.
func parseDSCP(text string) (uint8, error) {
	name := strings.ToLower(text)
	named := map[string]uint8{"be": 0, "df": 0, "le": 1, "va": 44, "nqb": 45, "ef": 46}
	if d, ok := named[name]; ok {
		return d, nil
	}
	var class, drop uint8
	if n, _ := fmt.Sscanf(name, "cs%1d", &class); n == 1 && len(name) == 3 && class <= 7 {
		return class << 3, nil
	}
	if n, _ := fmt.Sscanf(name, "af%1d%1d", &class, &drop); n == 2 && len(name) == 4 &&
		class >= 1 && class <= 4 && drop >= 1 && drop <= 3 {
		return class<<3 | drop<<1, nil
	}
	d, err := strconv.ParseUint(name, 10, 8)
	if err != nil || d > 63 {
		return 0, bad("", "%q is no DSCP: take 0 to 63, or a name such as ef, af41, cs5 or le", text)
	}
	return uint8(d), nil
}

// parseProtocol reads the number of an IP protocol, or the name of a common one, which may be two of them.
func parseProtocol(text string) ([]uint8, error) {
	named := map[string][]uint8{
		"icmp": {1, 58}, "tcp": {6}, "udp": {17}, "dccp": {33}, "gre": {47}, "esp": {50}, "ospf": {89}, "sctp": {132},
	}
	if p, ok := named[strings.ToLower(text)]; ok {
		return p, nil
	}
	p, err := strconv.ParseUint(text, 10, 8)
	if err != nil || p == 255 {
		return nil, bad("", "%q is no protocol: take 0 to 254, or %s", text, strings.Join(sortedKeys(named), ", "))
	}
	return []uint8{uint8(p)}, nil
}

func parsePorts(text string) (PortRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	to, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if err1 != nil || err2 != nil || from == 0 || from > to {
		return PortRange{}, bad("", "%q is no port: take 1 to 65535, or a range such as 5060-5061", text)
	}
	return PortRange{uint16(from), uint16(to)}, nil
}

func parseDestination(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, bad("", "invalid network %q: write ADDRESS/LENGTH, such as 192.168.7.0/24 or fd00:7::/64", text)
	case p != p.Masked():
		return p, bad("", "%v has bits beyond its length: write %v", p, p.Masked())
	}
	return p, nil
}
