package scenario

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// form is one kind of event or check: its keys, beside those that all have, and the keys that it needs.
type form struct {
	fields fields
	needs  []string
	value  func() any // what was read
}

// choose decodes a mapping that has exactly one of the forms' names as a key.
func choose(n, keyNode *yaml.Node, what string, common fields, forms map[string]form) (any, error) {
	names := slices.Sorted(maps.Keys(forms))
	var chosen []string
	for _, name := range names {
		if has(n, name) {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) != 1 {
		return nil, errorAt(keyNode, "%s %q needs exactly one of %s", what, keyNode.Value, strings.Join(names, ", "))
	}
	f := forms[chosen[0]]
	all := maps.Clone(f.fields)
	maps.Copy(all, common)
	errs := []error{all.decode(n, what+" with "+chosen[0])}
	for _, key := range f.needs {
		if !has(n, key) {
			errs = append(errs, errorAt(keyNode, "%s %q needs %s", what, keyNode.Value, key))
		}
	}
	return f.value(), errors.Join(errs...)
}

func (s *Scenario) decodeEvents(n *yaml.Node) error {
	return eachKey(n, "events", func(key string, keyNode, value *yaml.Node) error {
		if _, err := parseName(key); err != nil || key == MomentStart || key == MomentEnd {
			return errorAt(keyNode, "%q cannot be the name of an event", key)
		}
		e := Event{Name: key, Line: keyNode.Line, At: Moment{Base: MomentStart}}
		action, err := choose(value, keyNode, "the event", fields{"at": into(&e.At, parseMoment)}, eventForms())
		if err == nil {
			e.Action = action.(Action)
		}
		s.Events = append(s.Events, e)
		return err
	})
}

// eventForms are the actions by their keys.
func eventForms() map[string]form {
	var (
		cut     Cut
		restore Restore
		set     Set
		flap    Flap
		ports   SetPorts
		kill    Kill
		stop    Stop
		start   Start
		tcp     TCP
		show    Show
	)
	setFields := changeFields(&set.Change)
	setFields["set"] = into(&set.Link, parsePair)
	forms := map[string]form{
		"cut":     {fields{"cut": into(&cut.Link, parsePair)}, nil, func() any { return cut }},
		"restore": {fields{"restore": into(&restore.Link, parsePair)}, nil, func() any { return restore }},
		"set":     {setFields, nil, func() any { return set }},
		"flap": {fields{
			"flap":  into(&flap.Link, parsePair),
			"every": into(&flap.Every, parseInterval), "for": into(&flap.For, parsePositive),
		}, []string{"every", "for"}, func() any { return flap }},
		"site": {fields{
			"site":   into(&ports.Site, parseName),
			"uplink": intoNewPort(&ports.Uplink), "downlink": intoNewPort(&ports.Downlink),
		}, nil, func() any { return ports }},
		"kill":  {fields{"kill": intoWho(&kill.Who)}, nil, func() any { return kill }},
		"stop":  {fields{"stop": intoWho(&stop.Who)}, nil, func() any { return stop }},
		"start": {fields{"start": intoWho(&start.Who)}, nil, func() any { return start }},
		"tcp": {fields{
			"tcp": into(&tcp.Flow, parseOneWay), "for": into(&tcp.For, parsePositive),
			"bytes": into(&tcp.Bytes, parseBytes), "congestion": into(&tcp.Congestion, parseName),
			"text": into(&tcp.Text, parseBool), "underlay": into(&tcp.Underlay, parseBool),
		}, nil, func() any { return tcp }},
		"show": {fields{"show": words(&show.Sites)}, nil, func() any { return show }},
	}
	maps.Copy(forms, membershipEvents())
	maps.Copy(forms, faultEvents())
	return forms
}

// intoWho reads a group, "relay of a -> b", or "gateway of a".
func intoWho(w *Who) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if lan, ok := strings.CutPrefix(n.Value, "gateway of "); ok && n.Kind == yaml.ScalarNode {
			w.GatewayOf = lan
			return nil
		}
		rest, ok := strings.CutPrefix(n.Value, "relay of ")
		if n.Kind != yaml.ScalarNode || !ok {
			return intoGroup(&w.Sites)(n)
		}
		pair, err := parseOneWay(rest)
		if err != nil {
			return errorAt(n, "%v", err)
		}
		w.RelayOf = &pair
		return nil
	}
}

func (s *Scenario) decodeExpect(n *yaml.Node) error {
	return eachKey(n, "expect", func(key string, keyNode, value *yaml.Node) error {
		if _, err := parseName(key); err != nil {
			return errorAt(keyNode, "%v", err)
		}
		x := Expectation{
			Name: key, Line: keyNode.Line,
			Window: Window{Moment{Base: MomentStart}, Moment{Base: MomentEnd}},
		}
		common := fields{
			"from": into(&x.Window.From, parseMoment),
			"to":   into(&x.Window.To, parseMoment),
			"at": func(n *yaml.Node) error {
				return errors.Join(into(&x.Window.From, parseMoment)(n), into(&x.Window.To, parseMoment)(n))
			},
		}
		check, err := choose(value, keyNode, "the expectation", common, checkForms())
		if err == nil {
			x.Check = check.(Check)
		}
		s.Expect = append(s.Expect, x)
		return err
	})
}

// checkForms are the checks by their keys.
func checkForms() map[string]form {
	var (
		outage   Outage
		loss     Loss
		lost     Lost
		first    FirstPacket
		path     Path
		switches Switches
		dead     Dead
		blamed   Quarantined
		goodput  Goodput
		capture  Capture
	)
	forms := map[string]form{
		"outage": {
			limited(&outage.Below, "below", parseSeconds, fields{"outage": into(&outage.Flow, parsePair)}),
			[]string{"below"},
			func() any { return outage },
		},
		"loss": {
			limited(&loss.Below, "below", parseShare, fields{"loss": into(&loss.Flow, parsePair)}),
			[]string{"below"},
			func() any { return loss },
		},
		"lost": {
			limited(&lost.AtMost, "at_most", parseCount, fields{"lost": into(&lost.Flow, parsePair)}),
			[]string{"at_most"},
			func() any { return lost },
		},
		"first-packet": {
			limited(&first.Within, "within", parseSeconds, fields{"first-packet": into(&first.Flow, parsePair)}),
			[]string{"within"},
			func() any { return first },
		},
		"path": {
			limited(&path.Within, "within", parseSeconds, fields{
				"path": into(&path.Of, parsePair), "is": into(&path.Is, parseRoute),
			}),
			[]string{"is"},
			func() any { return path },
		},
		"switches": {
			limited(&switches.AtMost, "at_most", parseCount, fields{"switches": into(&switches.Of, parsePair)}),
			[]string{"at_most"},
			func() any { return switches },
		},
		"dead": {
			limited(&dead.AtMost, "at_most", parseCount, fields{"dead": into(&dead.Of, parsePair)}),
			[]string{"at_most"},
			func() any { return dead },
		},
		"quarantined": {
			limited(&blamed.AtMost, "at_most", parseCount, fields{"quarantined": into(&blamed.Of, parsePair)}),
			[]string{"at_most"},
			func() any { return blamed },
		},
		"goodput": {
			limited(&goodput.AtLeast, "at_least", parseShare, fields{
				"goodput": into(&goodput.Of, parseName), "of": into(&goodput.Against, parseName),
			}),
			[]string{"at_least", "of"},
			func() any { return goodput },
		},
		"capture": {fields{
			"capture": into(&capture.Site, parseName), "during": into(&capture.During, parseName),
			"text": into(&capture.Found, parseFound), "at_least": into(&capture.AtLeast, parseBytes),
		}, []string{"during", "text"}, func() any { return capture }},
	}
	maps.Copy(forms, membershipChecks())
	maps.Copy(forms, faultChecks())
	return forms
}

// limited are the keys of a limit, beside more.
func limited(l *Limit, key string, parse func(string) (float64, error), more fields) fields {
	l.In = 1
	more[key] = into(&l.Bound, parse)
	more["in"] = into(&l.In, parseShare)
	more["always"] = into(&l.Always, parse)
	return more
}

func parseFound(s string) (bool, error) {
	if s != "found" && s != "absent" {
		return false, errors.New("text is found or absent")
	}
	return s == "found", nil
}
