package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrInvalid marks every error that says that a scenario file is not right.
var ErrInvalid = errors.New("invalid scenario")

// lineError is what is wrong with one line of a file.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.text) }
func (e *lineError) Unwrap() error { return ErrInvalid }

func errorAt(n *yaml.Node, format string, args ...any) error {
	return &lineError{n.Line, fmt.Sprintf(format, args...)}
}

// fields says what to do with each key of a mapping.
type fields map[string]func(*yaml.Node) error

// decode reads a mapping by its fields. It reports everything that is wrong, not only the first thing.
func (f fields) decode(n *yaml.Node, what string) error {
	return eachKey(n, what, func(key string, keyNode, value *yaml.Node) error {
		read, ok := f[key]
		if !ok {
			known := slices.Sorted(maps.Keys(f))
			return errorAt(keyNode, "%s has no key %q; it has %s", what, key, strings.Join(known, ", "))
		}
		return read(value)
	})
}

// eachKey calls f for each key of a mapping, in order, and joins the errors.
func eachKey(n *yaml.Node, what string, f func(key string, keyNode, value *yaml.Node) error) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil // a key with nothing behind it
	}
	if n.Kind != yaml.MappingNode {
		return errorAt(n, "%s is a mapping of keys to values", what)
	}
	var errs []error
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			errs = append(errs, errorAt(key, "a key of %s is a word", what))
		case seen[key.Value]:
			errs = append(errs, errorAt(key, "%s has the key %q twice", what, key.Value))
		default:
			seen[key.Value] = true
			errs = append(errs, f(key.Value, key, value))
		}
	}
	return errors.Join(errs...)
}

// has reports whether a mapping has a key.
func has(n *yaml.Node, key string) bool { return find(n, key) >= 0 }

// find is the place of a key's value among a mapping's nodes, or -1.
func find(n *yaml.Node, key string) int {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return i + 1
			}
		}
	}
	return -1
}

// text reads a scalar.
func text(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", errorAt(n, "expected a single value here")
	}
	return n.Value, nil
}

// into is a field that is parsed from a scalar.
func into[T any](dst *T, parse func(string) (T, error)) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s, err := text(n)
		if err != nil {
			return err
		}
		v, err := parse(s)
		if err != nil {
			return errorAt(n, "%v", err)
		}
		*dst = v
		return nil
	}
}

// intoNew is a field that is parsed from a scalar and is nil if absent.
func intoNew[T any](dst **T, parse func(string) (T, error)) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		v := new(T)
		if err := into(v, parse)(n); err != nil {
			return err
		}
		*dst = v
		return nil
	}
}

// words is a field that holds one word or a list of words.
func words(dst *[]string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode {
			s, err := text(n)
			*dst = []string{s}
			return err
		}
		for _, item := range n.Content {
			s, err := text(item)
			if err != nil {
				return err
			}
			*dst = append(*dst, s)
		}
		return nil
	}
}

// overlay lays the mapping over onto base, as a JSON merge patch (RFC 7396) does: mappings are merged, anything else
// replaces what was there, and null removes it.
func overlay(base, over *yaml.Node) {
	for i := 0; i+1 < len(over.Content); i += 2 {
		key, value := over.Content[i], over.Content[i+1]
		at := find(base, key.Value)
		switch {
		case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
			if at >= 0 {
				base.Content = slices.Delete(base.Content, at-1, at+1)
			}
		case at < 0:
			base.Content = append(base.Content, key, value)
		case base.Content[at].Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			overlay(base.Content[at], value)
		default:
			base.Content[at] = value
		}
	}
}

// noAliases rejects anchors and aliases: the language needs none, and a few bytes of them can stand for gigabytes.
func noAliases(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return errorAt(n, "anchors and aliases are not part of the language")
	}
	for _, child := range n.Content {
		if err := noAliases(child); err != nil {
			return err
		}
	}
	return nil
}
