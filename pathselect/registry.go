package pathselect

import (
	"errors"
	"fmt"
	"strings"
)

// All are the algorithms that exist, the default first. This list is the only place that registers an algorithm:
// configuration, help texts, rules, studies and tests read it.
func All() []Algorithm {
	return []Algorithm{
		Balanced(),
		Latency(),
		Loss(),
		Throughput(),
		Direct(),
	}
}

// Default is the algorithm that is used where nobody chose one.
func Default() Algorithm { return All()[0] }

// ErrUnknown is what Lookup returns for a name that no algorithm has.
var ErrUnknown = errors.New("unknown path-selection algorithm")

// Lookup finds an algorithm by its name. Its error is a sentence that lists the names that exist; it wraps ErrUnknown.
func Lookup(name string) (Algorithm, error) {
	for _, a := range All() {
		if a.Name() == name {
			return a, nil
		}
	}
	names := Names()
	last := len(names) - 1
	return nil, fmt.Errorf("%w %q: use %s or %s", ErrUnknown, name, strings.Join(names[:last], ", "), names[last])
}

// Names are the names of All.
func Names() []string {
	var names []string
	for _, a := range All() {
		names = append(names, a.Name())
	}
	return names
}
