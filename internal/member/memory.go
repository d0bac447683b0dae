package member

// memory keeps what was parsed and verified, by the bytes that it came from. A simulation of a thousand sets would
// verify everything a thousand times; a node has no use for it. What is kept is immutable, and belongs to one goroutine.
type memory struct {
	heads   map[string]header
	records map[string]*Record
	certs   map[string]*Certificate
	items   map[Kind]map[string]*item
}

// Remember makes all sets of this network share what one of them has verified. For simulations in one goroutine.
func (n *Network) Remember() {
	n.memory = &memory{
		heads: make(map[string]header), records: make(map[string]*Record), certs: make(map[string]*Certificate),
		items: make(map[Kind]map[string]*item),
	}
	for _, kind := range kinds {
		n.memory.items[kind] = make(map[string]*item)
	}
}

func (m *memory) certificates() map[string]*Certificate {
	if m == nil {
		return nil
	}
	return m.certs
}

// remembered is the value that known has for raw, or else what find makes of it. Without known nothing is kept.
func remembered[T any](known map[string]T, raw []byte, find func() (T, error)) (T, error) {
	if v, ok := known[string(raw)]; ok {
		return v, nil
	}
	v, err := find()
	if err == nil && known != nil {
		known[string(raw)] = v
	}
	return v, err
}
