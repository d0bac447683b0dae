package main

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/pflag"

	"overlayd/config"
	"overlayd/internal/cli"
	"overlayd/internal/member"
	"overlayd/internal/state"
)

// addStateFlag registers --state, for which OVERLAYD_STATE stands in as it does for overlayd up.
func addStateFlag(flags *pflag.FlagSet, path *string) {
	flags.StringVar(path, "state", cmp.Or(os.Getenv("OVERLAYD_STATE"), config.DefaultState),
		"`directory` for what this node must not forget")
}

// stateFlag is the flag to repeat in a command that a person is told to give.
func stateFlag(path string) string {
	if path == config.DefaultState {
		return ""
	}
	return " --state " + path
}

func newRootKey() (ed25519.PrivateKey, error) { return member.NewRootKey(rand.Reader) }

// logNotices says what was wrong with the state, and was put right.
func logNotices(dir *state.Dir, log *slog.Logger) {
	for _, text := range dir.Notices() {
		log.Warn(text)
	}
}

// printNotices is logNotices for the commands that end at once.
func printNotices(dir *state.Dir, stderr io.Writer) {
	log, _ := logger(config.Log{Format: config.LogText}, stderr)
	logNotices(dir, log)
}

// noNetwork refuses a state directory whose node is a member already.
func noNetwork(dir *state.Dir) error {
	m, err := dir.Network()
	switch {
	case errors.Is(err, state.ErrAbsent):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("this node is a member of the network %s already: start it with overlayd up%s, give that up with overlayd reset%[2]s, "+
		"or name another directory than %s with --state", m.Network.Name, stateFlag(dir.Path()), dir.Path())
}

// others lists the names of the other members of the network that a state directory holds.
func others(dir *state.Dir, m state.Membership, now time.Time) ([]string, error) {
	id, err := dir.Identity()
	if err != nil {
		return nil, err
	}
	cert, err := m.Network.VerifyCertificate(m.Certificate, now)
	if err != nil {
		return nil, err
	}
	items, err := dir.Items()
	if err != nil {
		return nil, err
	}
	set := member.NewSet(m.Network, id, cert, mathrand.New(mathrand.NewPCG(1, 1)))
	if err := set.Step(now, member.Load{Items: items}); err != nil {
		return nil, err
	}
	names := make([]string, 0, set.Len())
	for _, other := range set.IDs() {
		if info, ok := set.Get(other); ok && other != id.ID() {
			names = append(names, info.Name)
		}
	}
	if n := set.Len() - 1 - len(names); n > 0 {
		names = append(names, fmt.Sprintf("%d that have not come yet", n))
	}
	return names, nil
}

// outside refuses a prefix for a new network that shares addresses with a network of this host.
func outside(prefix netip.Prefix, attached []member.Attached) error {
	list := member.Overlapping(prefix, attached)
	if len(list) == 0 {
		return nil
	}
	way := "CIDR"
	if free, ok := member.FreePrefix(attached); ok {
		way = free.String()
	}
	return cli.Configf("this host is attached to %s, which overlaps %s, so that neither could reach all of its hosts: make the network with another prefix: overlayd init --prefix %s --name NODE",
		member.DescribeAttached(list), prefix, way)
}

// overlapText warns a member of such a network.
func overlapText(prefix netip.Prefix, list []member.Attached) string {
	return fmt.Sprintf("this host is attached to %s, which overlaps %s, the addresses of the overlay network: members there cannot be reached by "+
		"IPv4 from here, or hosts of that network cannot; use the members' IPv6 addresses, or give that network other addresses",
		member.DescribeAttached(list), prefix)
}

// identity reads the node's keys, or makes them.
func identity(dir *state.Dir) (member.Identity, error) {
	return orCreate(dir.Identity, dir.CreateIdentity, func() (member.Identity, error) {
		return member.NewIdentity(rand.Reader)
	})
}

// orCreate reads a value from the state, or, if it is absent, makes and stores it.
func orCreate[T any](read func() (T, error), store func(T) error, create func() (T, error)) (T, error) {
	v, err := read()
	if !errors.Is(err, state.ErrAbsent) {
		return v, err
	}
	if v, err = create(); err != nil {
		return v, err
	}
	return v, store(v)
}
