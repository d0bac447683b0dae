package wan

// stage is what a packet meets next.
type stage uint8

const (
	stageLink     stage = iota // it leaves the uplink
	stageDownlink              // it reaches the downlink
	stageEnd                   // its way is over
)

// packet is a packet under way.
type packet[P any] struct {
	from, to Site
	Header
	data P
	fate Fate
	mtu  int // of the link that it is too large for
}

// appointment is a stage that a packet reaches at a certain time.
type appointment[P any] struct {
	stage stage
	packet[P]
}
