package osnet

import (
	"slices"

	"golang.org/x/sys/unix"

	"overlayd/internal/member"
)

// Attached lists the networks that this host is attached to by interfaces other than the excluded one: the prefixes of
// their addresses, but for loopback and link-local ones, each once for an interface.
func Attached(exclude string) ([]member.Attached, error) {
	links, err := Links()
	if err != nil {
		return nil, err
	}
	names := make(map[int]string)
	for _, l := range links {
		if a := l.Attrs(); a.Name != exclude && a.RawFlags&unix.IFF_LOOPBACK == 0 {
			names[a.Index] = a.Name
		}
	}
	addrs, err := Addrs(nil)
	if err != nil {
		return nil, err
	}
	var found []member.Attached
	for _, a := range addrs {
		p, ok := AddrOf(a)
		name := names[a.LinkIndex]
		if !ok || name == "" || !p.Addr().IsGlobalUnicast() {
			continue
		}
		if at := (member.Attached{Interface: name, Prefix: p.Masked()}); !slices.Contains(found, at) {
			found = append(found, at)
		}
	}
	return found, nil
}
