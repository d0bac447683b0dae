package tunnel

import (
	"errors"

	"golang.zx2c4.com/wireguard/device"

	"overlayd/internal/wire"
)

// Renew begins a new session with a peer, unless that was done in the last 5 s. It is no error if the peer is not known.
func (p *Plane) Renew(id wire.NodeID) error {
	reg := p.peers.view.Load().peer(id)
	if reg == nil {
		return nil
	}
	reg.touch()
	if err := p.create(reg); err != nil && !errors.Is(err, errUnknownPeer) {
		return err
	}
	if at := p.device.LookupPeer(device.NoisePublicKey(reg.public)); at != nil {
		return at.SendHandshakeInitiation(false)
	}
	return nil
}
