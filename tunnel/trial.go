package tunnel

import "overlayd/tunnel/fwd"

// mayTry reports whether packets may go out on the i-th path of a route. An address that a peer only names may be
// anybody's: until its owner has echoed a probe it gets little.
func (p *Plane) mayTry(route *fwd.Route, i int, packets [][]byte) bool {
	if route.Trial == nil || i < route.Known {
		return true
	}
	size := 0
	for _, packet := range packets {
		size += len(packet)
	}
	if route.Trial.Take(size, p.clock()) {
		return true
	}
	p.count.noPath.Add(uint64(len(packets)))
	return false
}
