package node

import (
	"fmt"

	"overlayd/config"
	"overlayd/internal/policy"
	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// algorithms are the path-selection algorithms that a configuration names.
type algorithms struct {
	usual   pathselect.Algorithm
	classes map[wire.TrafficClass]pathselect.Algorithm // where they differ from usual
	shadow  pathselect.Algorithm                       // nil: none
}

// algorithmsOf finds them. A name that no algorithm has is an error.
func algorithmsOf(cfg config.Select) (a algorithms, err error) {
	if a.usual, err = pathselect.Lookup(string(cfg.Algorithm)); err != nil {
		return a, fmt.Errorf("select.algorithm: %w", err)
	}
	a.classes = make(map[wire.TrafficClass]pathselect.Algorithm, len(cfg.Classes))
	for class, name := range cfg.Classes {
		if a.classes[class], err = pathselect.Lookup(string(name)); err != nil {
			return a, fmt.Errorf("select.classes: %w", err)
		}
	}
	if cfg.Shadow == "" {
		return a, nil
	}
	if a.shadow, err = pathselect.Lookup(string(cfg.Shadow)); err != nil {
		return a, fmt.Errorf("select.shadow: %w", err)
	}
	return a, nil
}

// warnOfRules tells a person of stored rules that name an algorithm which this version does not have. They have no effect,
// and no other rule may be lost because of them.
func (c *Core) warnOfRules() {
	var texts []string
	for _, r := range c.rules.set.Rules() {
		if r.Kind != policy.Algorithm {
			continue
		}
		if _, err := pathselect.Lookup(r.Algorithm); err != nil {
			texts = append(texts, fmt.Sprintf("rule %d has no effect: %v; remove it with overlayctl route remove %d", r.ID, err, r.ID))
		}
	}
	c.warn("rules", texts)
}
