package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"overlayd/internal/lab/wan"
)

// Drop is what a link drops, without telling anybody: of one address family, or of both.
type Drop struct {
	Filter wan.Filter
	Family *wan.Family // nil: both
}

// Of are the filters of both families with the drop made.
func (d Drop) Of(filters [wan.Families]wan.Filter) [wan.Families]wan.Filter {
	for family := range filters {
		if d.Family == nil || int(*d.Family) == family {
			filters[family] = d.Filter
		}
	}
	return filters
}

// contentKeys are the words for what a drop is about, beside the types of WireGuard's messages.
var contentKeys = map[string]wan.Contents{
	"control": wan.Of(wan.Control),
	"labels":  wan.Of(wan.Labeled),
	"icmp":    wan.Of(wan.ICMPError),
	"udp":     wan.AllUDP,
	"all":     wan.Everything,
}

// String writes the drop as a scenario does.
func (d Drop) String() string {
	var parts []string
	if d.Filter.Larger > 0 {
		parts = append(parts, fmt.Sprintf("larger: %d", d.Filter.Larger))
	}
	left := d.Filter.Contents
	for _, key := range []string{"all", "udp", "control", "labels", "icmp"} {
		if set := contentKeys[key]; left&set == set && left != 0 {
			parts = append(parts, key+": true")
			left &^= set
		}
	}
	var types []string
	for t := wan.Initiation; t <= wan.Transport; t++ {
		if left.Has(t) {
			types = append(types, strconv.Itoa(int(t)))
		}
	}
	if len(types) > 0 {
		parts = append(parts, "types: ["+strings.Join(types, ", ")+"]")
	}
	if len(parts) == 0 {
		parts = []string{"nothing"}
	}
	if d.Family != nil {
		parts = append(parts, "family: "+[...]string{"ipv4", "ipv6"}[*d.Family])
	}
	return "drop " + strings.Join(parts, ", ")
}

// intoDrop is a field that holds the word none, or a mapping that says what is dropped.
func intoDrop(dst **Drop) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		drop := &Drop{}
		*dst = drop
		if n.Kind == yaml.ScalarNode && n.Value == "none" {
			return nil
		}
		f := fields{
			"larger": into(&drop.Filter.Larger, parsePacketSize),
			"types":  intoTypes(&drop.Filter.Contents),
			"family": intoNew(&drop.Family, parseFamily),
		}
		for key, set := range contentKeys {
			f[key] = func(n *yaml.Node) error {
				var yes bool
				err := into(&yes, parseBool)(n)
				if yes {
					drop.Filter.Contents |= set
				}
				return err
			}
		}
		err := f.decode(n, "a drop")
		if err == nil && drop.Filter == (wan.Filter{}) {
			known := slices.Sorted(maps.Keys(f))
			err = errorAt(n, "drop is none, or says what is dropped, with %s", strings.Join(known, ", "))
		}
		return err
	}
}

// intoTypes is a field that holds one type of WireGuard's messages or a list of them.
func intoTypes(dst *wan.Contents) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		var all []string
		if err := words(&all)(n); err != nil {
			return err
		}
		for _, s := range all {
			v, err := strconv.Atoi(s)
			if err != nil || v < int(wan.Initiation) || v > int(wan.Transport) {
				return errorAt(n, "%q is not the type of a WireGuard message, from 1 to 4", s)
			}
			*dst |= wan.Of(wan.Content(v))
		}
		return nil
	}
}

// The sizes of packets that a link may be about: IPv4's least MTU (RFC 791), and the largest packet there is.
const (
	minPacket = 68
	maxPacket = 1500
)

func parsePacketSize(s string) (int, error) {
	v, err := strconv.Atoi(s)
	if err != nil || v < minPacket || v > maxPacket {
		return 0, fmt.Errorf("%q is not the size of an IP packet, from %d to %d bytes", s, minPacket, maxPacket)
	}
	return v, nil
}

func parseFamily(s string) (wan.Family, error) {
	switch s {
	case "ipv4":
		return wan.IPv4, nil
	case "ipv6":
		return wan.IPv6, nil
	}
	return 0, fmt.Errorf("family is ipv4 or ipv6, or absent for both, not %q", s)
}
