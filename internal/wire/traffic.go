package wire

import "fmt"

// TrafficClass is what a packet of a user needs of the network. It never travels in clear: both ends of a path decide
// for themselves what they send how.
type TrafficClass uint8

// The traffic classes.
const (
	DefaultTraffic TrafficClass = iota
	Bulk                        // much of it, that may wait: never sent twice
	Interactive                 // somebody waits for it: sent twice while there is trouble near an end
	Critical                    // always sent on two paths

	TrafficClasses = 4 // how many there are
)

var trafficNames = [TrafficClasses]string{"default", "bulk", "interactive", "critical"}

// String is the name of the class in configuration and explanations.
func (c TrafficClass) String() string {
	if int(c) < len(trafficNames) {
		return trafficNames[c]
	}
	return fmt.Sprintf("traffic class %d", uint8(c))
}

// ParseTrafficClass finds a class by its name.
func ParseTrafficClass(name string) (TrafficClass, bool) {
	for c, n := range trafficNames {
		if n == name {
			return TrafficClass(c), true
		}
	}
	return DefaultTraffic, false
}
