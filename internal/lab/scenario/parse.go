package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a scenario file, in bytes.
const maxFile = 1 << 20

// Load reads a scenario file; in its short form, if asked.
func Load(path string, short bool) (*Scenario, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the scenario: %w", err)
	}
	s, err := Parse(b, short)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Parse reads a scenario; in its short form, if asked. Every error that it returns is an ErrInvalid.
func Parse(b []byte, short bool) (*Scenario, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, maxFile)
	}
	root, err := parseTree(b)
	if err != nil {
		return nil, err
	}
	// Both forms are decoded, so that a fault in either is found whichever is asked for.
	whole, err := decodeScenario(root)
	at := find(root, "short")
	if err != nil || at < 0 {
		return whole, err
	}
	overlay(root, root.Content[at])
	brief, err := decodeScenario(root)
	if err != nil {
		return nil, fmt.Errorf("the short form: %w", err)
	}
	if short {
		return brief, nil
	}
	return whole, nil
}

// parseTree reads one YAML document without aliases.
func parseTree(b []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one document", ErrInvalid)
	}
	if err := noAliases(&doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%w: it is not a mapping of keys to values", ErrInvalid)
	}
	return doc.Content[0], nil
}

// decodeScenario reads the whole mapping and checks it.
func decodeScenario(root *yaml.Node) (*Scenario, error) {
	s := &Scenario{Seed: 1}
	err := fields{
		"name":        into(&s.Name, parseName),
		"description": into(&s.Description, parseText),
		"seed":        into(&s.Seed, parseUint),
		"duration":    into(&s.Duration, parsePositive),
		"founder":     into(&s.Founder, parseName),
		"defaults":    func(n *yaml.Node) error { return s.defaults.keys().decode(n, "defaults") },
		"sites":       s.decodeSites,
		"crowd":       s.decodeCrowd,
		"lans":        s.decodeLANs,
		"links":       s.decodeLinks,
		"traffic":     s.decodeTraffic,
		"events":      s.decodeEvents,
		"expect":      s.decodeExpect,
		"short":       func(*yaml.Node) error { return nil },
	}.decode(root, "a scenario")
	if err == nil {
		err = s.expandCrowd(root)
	}
	if err == nil {
		err = s.equip(root)
	}
	if err == nil {
		err = s.validate(root)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Scenario) decodeSites(n *yaml.Node) error {
	return eachKey(n, "sites", func(key string, keyNode, value *yaml.Node) error {
		site := Site{Name: key, Address: defaultAddress(len(s.Sites))}
		if _, err := parseName(key); err != nil {
			return errorAt(keyNode, "%v", err)
		}
		if len(s.Sites) >= maxSites {
			return errorAt(keyNode, "more than %d sites", maxSites)
		}
		started, member := true, true
		keys := fields{
			"address":  into(&site.Address, parseAddress),
			"nat":      into(&site.NAT, parseNAT),
			"uplink":   intoPort(&site.Uplink),
			"downlink": intoPort(&site.Downlink),
			"started":  into(&started, parseBool),
			"member":   into(&member, parseBool),
		}
		maps.Copy(keys, site.equipment.keys())
		err := keys.decode(value, "a site")
		site.Down, site.Outsider = !started || !member, !member
		s.Sites = append(s.Sites, site)
		return err
	})
}

// maxSites bounds a network; default addresses come from one /24.
const maxSites = 250

// defaultQueue is the queue of a port with a rate that does not say.
const defaultQueue = 50 * time.Millisecond

func intoPort(p *Port) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		p.Queue = defaultQueue
		return fields{
			"rate":  into(&p.Rate, parseRate),
			"queue": into(&p.Queue, parsePositive),
		}.decode(n, "a port")
	}
}

func intoNewPort(p **Port) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		*p = new(Port)
		return intoPort(*p)(n)
	}
}

// changeFields are the keys of a link and of the event set.
func changeFields(c *Change) fields {
	return fields{
		"delay":   intoNew(&c.Delay, parseDuration),
		"jitter":  intoNew(&c.Jitter, parseDuration),
		"loss":    intoNew(&c.Loss, parseShare),
		"reorder": intoNew(&c.Reorder, parseBool),
		"drop":    intoDrop(&c.Drop),
		"mtu":     intoNew(&c.MTU, parsePacketSize),
		"icmp":    intoNew(&c.ICMP, parseBool),
		"rtt": func(n *yaml.Node) error {
			err := intoNew(&c.Delay, parseDuration)(n)
			if err == nil {
				*c.Delay /= 2
			}
			return err
		},
	}
}

func (s *Scenario) decodeLinks(n *yaml.Node) error {
	return eachKey(n, "links", func(key string, keyNode, value *yaml.Node) error {
		link := Link{Any: key == "any"}
		if !link.Any {
			pair, err := parsePair(key)
			if err != nil {
				return errorAt(keyNode, "%v; every pair that is not listed is any", err)
			}
			link.Pair = pair
		}
		err := changeFields(&link.Change).decode(value, "a link")
		s.Links = append(s.Links, link)
		return err
	})
}

// The defaults of traffic.
const (
	defaultEvery = 10 * time.Millisecond
	defaultSize  = 128
)

func (s *Scenario) decodeTraffic(n *yaml.Node) error {
	return eachKey(n, "traffic", func(key string, keyNode, value *yaml.Node) error {
		t := Traffic{Name: key, Every: defaultEvery, Size: defaultSize}
		if _, err := parseName(key); err != nil {
			return errorAt(keyNode, "%v", err)
		}
		err := fields{
			"flow":  into(&t.Flow, parsePair),
			"every": into(&t.Every, parseInterval),
			"size":  into(&t.Size, parseSize),
		}.decode(value, "traffic")
		if !has(value, "flow") {
			err = errors.Join(err, errorAt(keyNode, "traffic needs flow: a -> b, or a -- b"))
		}
		s.Traffic = append(s.Traffic, t)
		return err
	})
}

func parseInterval(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	if err == nil && d < time.Millisecond {
		err = fmt.Errorf("packets come every 1ms at most, not every %v", d)
	}
	return d, err
}
