package wan

// Header is what a link can tell a packet by.
type Header struct {
	Size    int // bytes of the whole IP packet
	IPv6    bool
	Content Content
}

// family is the index of a packet's filter.
func (h Header) family() Family {
	if h.IPv6 {
		return IPv6
	}
	return IPv4
}

// Family is an address family.
type Family uint8

// The address families.
const (
	IPv4 Family = iota
	IPv6
	Families // how many there are
)

// Content is what a packet carries, as far as a middlebox can tell from the first bytes behind the UDP header. So what
// is behind a label is Labeled, whatever it is.
type Content uint8

// The contents. WireGuard's messages have the numbers of their types.
const (
	OtherContent Content = iota // no UDP, or no ICMP error
	Initiation                  // WireGuard's type 1
	Response                    // type 2
	Cookie                      // type 3
	Transport                   // type 4
	Control                     // a sealed control frame
	Labeled                     // any frame behind a label
	OtherUDP                    // any other UDP, such as STUN and what newcomers send
	ICMPError                   // packet too big, unreachable
	contents
)

// Contents is a set of them.
type Contents uint16

// The sets that have names.
const (
	AllUDP     Contents = 1<<Initiation | 1<<Response | 1<<Cookie | 1<<Transport | 1<<Control | 1<<Labeled | 1<<OtherUDP
	Everything Contents = 1<<contents - 1
)

// Of is the set of some contents.
func Of(all ...Content) Contents {
	var s Contents
	for _, c := range all {
		s |= 1 << c
	}
	return s
}

// Has reports whether c is in the set.
func (s Contents) Has(c Content) bool { return s&(1<<c) != 0 }

// Filter is what a link drops of one address family, without telling anybody, as a middlebox may.
type Filter struct {
	Larger   int // packets of more bytes than this; 0: whatever the size
	Contents Contents
}

// Drops reports whether a packet does not get through.
func (f Filter) Drops(h Header) bool {
	return f.Larger > 0 && h.Size > f.Larger || f.Contents.Has(h.Content)
}
