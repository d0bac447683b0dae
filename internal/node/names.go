package node

import (
	"cmp"
	"maps"
	"slices"

	"overlayd/internal/control"
	"overlayd/internal/wire"
)

// name is what people call a node: its name, or the beginning of its identifier if it has none.
func (c *Core) name(id wire.NodeID) string {
	if name := c.members.NameOnce(id); name != "" {
		return name
	}
	return id.Short()
}

// nameOfSigner is what people call who signed something.
func (c *Core) nameOfSigner(id wire.NodeID) string {
	if id.IsZero() {
		return control.ByRoot
	}
	return c.name(id)
}

// names are the names of some nodes; never nil.
func (c *Core) names(ids []wire.NodeID) []string {
	list := make([]string, 0, len(ids))
	for _, id := range ids {
		list = append(list, c.name(id))
	}
	return list
}

// sortedKeys are the keys of a map in their order, so that nothing depends on the order of maps.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
