package sim

import (
	"math/rand/v2"
	"net/netip"

	"overlayd/internal/join"
	"overlayd/internal/node"
)

// Join lets a newcomer ask a member, with a token of an admin. The host starts as soon as it is one itself; Err says why
// it did not.
func (f *Founder) Join(h *Host, token string, door *Host) {
	must(h.enter(token, door.address))
}

// Enter lets a newcomer ask the members that its token names.
func (h *Host) Enter(token string) error { return h.enter(token) }

// enter begins to ask at some endpoints, or at those of the token.
func (h *Host) enter(token string, endpoints ...netip.AddrPort) error {
	t, err := join.ParseToken(token)
	if err != nil {
		return err
	}
	if len(endpoints) == 0 {
		for _, e := range t.Endpoints {
			if at, err := netip.ParseAddrPort(e); err == nil {
				endpoints = append(endpoints, at)
			}
		}
	}
	random := rand.NewChaCha8([32]byte{byte(h.index), byte(h.index >> 8)})
	h.joiner, err = join.NewJoiner(h.now(), t, endpoints, h.cfg.Identity, h.Name, random)
	if err != nil {
		return err
	}
	h.bind()
	h.join(join.Tick{})
	return nil
}

// join gives the joiner one input and carries out what it wants.
func (h *Host) join(in join.Input) {
	_ = h.joiner.Step(h.now(), in) // an error says that the frame was no answer
	for _, out := range h.joiner.Drain(nil) {
		switch out := out.(type) {
		case join.Transmit:
			h.launch(datagram{from: h.source(out.To), to: out.To, control: out.Frame})
		case join.Failed:
			h.Err = out.Err
		case join.Joined:
			h.joined(out)
			return
		}
	}
	joiner := h.joiner
	due, ok := joiner.NextDeadline()
	if !ok {
		h.joiner = nil
		return
	}
	h.net.at(due.Add(-h.skew), func() {
		if next, ok := joiner.NextDeadline(); h.joiner == joiner && ok && !next.After(h.now()) {
			h.join(join.Tick{})
		}
	})
}

// joined starts the new member. The network that it was told of is the one that the simulation knows.
func (h *Host) joined(out join.Joined) {
	h.joiner, h.saved, h.cfg.Certificate = nil, out.Items, out.Certificate
	h.cfg.Contact = node.Contact{Node: out.Sponsor, Endpoint: out.Reached}
	if h.net.Census != nil {
		h.net.Census.joined(h, out)
	}
	if h.Rests {
		h.Kill()
		return
	}
	h.Start()
}

// Joining reports whether the host still asks.
func (h *Host) Joining() bool { return h.joiner != nil }
