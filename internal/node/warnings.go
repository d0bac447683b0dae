package node

import (
	"maps"
	"slices"
)

// warnings are sentences on what a person should know and can do something about, as long as they hold, by what they are
// about.
type warnings map[string][]string

// set replaces those about one thing, and returns the ones that did not hold before.
func (w warnings) set(about string, texts []string) (fresh []string) {
	for _, text := range texts {
		if !slices.Contains(w[about], text) {
			fresh = append(fresh, text)
		}
	}
	if len(texts) == 0 {
		delete(w, about)
	} else {
		w[about] = texts
	}
	return fresh
}

// all lists them in a steady order.
func (w warnings) all() (list []string) {
	for _, about := range slices.Sorted(maps.Keys(w)) {
		list = append(list, w[about]...)
	}
	return list
}

// warn replaces the warnings about one thing; new ones are logged.
func (c *Core) warn(about string, texts []string) {
	for _, text := range c.warnings.set(about, texts) {
		c.emit(Notice{Text: text, Warning: true})
	}
}
