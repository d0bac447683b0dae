package join

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// ErrNoEndpoint means that a token would not say whom to ask.
var ErrNoEndpoint = errors.New("no address is known at which a newcomer reaches this node: use --endpoint HOST:PORT")

// Invite makes a token, in one line, and what the registrar has signed for it, which is to be stored before the token is
// handed out. Endpoints are HOST:PORT of members, where the newcomer asks; at most MaxEndpoints of them count. Random
// must be cryptographic.
func Invite(
	now time.Time, registrar *member.Registrar, random io.Reader, o member.Offer, endpoints []string,
) (token string, signed []member.Item, err error) {
	t := Token{
		Root: registrar.Network().Root, Expiry: now.Add(o.TTL), Endpoints: endpoints[:min(len(endpoints), MaxEndpoints)],
	}
	for _, b := range [][]byte{t.ID[:], t.Secret[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return "", nil, fmt.Errorf("read random bytes: %w", err)
		}
	}
	signed, err = registrar.Invite(now, t.Lock(), o)
	switch {
	case err != nil:
		return "", nil, err
	case len(endpoints) == 0:
		return "", nil, ErrNoEndpoint
	}
	if token, err = t.Text(); err != nil {
		return "", nil, err
	}
	return token, signed, nil
}

// Endpoints are addresses of members for a token, after those given: of the members reached, which newcomers may reach
// as well.
func Endpoints(set *member.Set, given []string, reached []wire.NodeID) []string {
	list := slices.Clone(given)
	for _, id := range reached {
		if r := set.Record(id); r != nil && len(r.Endpoints) > 0 && len(list) < MaxEndpoints {
			list = append(list, r.Endpoints[0].String())
		}
	}
	return list
}
