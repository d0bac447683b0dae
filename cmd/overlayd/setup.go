package main

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"overlayd/config"
	"overlayd/internal/member"
	"overlayd/internal/state"
)

// addStateFlag registers --state, for which OVERLAYD_STATE stands in as it does for overlayd up.
func addStateFlag(flags *pflag.FlagSet, path *string) {
	flags.StringVar(path, "state", cmp.Or(os.Getenv("OVERLAYD_STATE"), config.DefaultState),
		"directory for what this node must not forget")
}

// stateFlag is the flag to repeat in a command that a person is told to give.
func stateFlag(path string) string {
	if path == config.DefaultState {
		return ""
	}
	return " --state " + path
}

func newRootKey() (ed25519.PrivateKey, error) { return member.NewRootKey(rand.Reader) }

// noNetwork refuses a state directory whose node is a member already.
func noNetwork(dir *state.Dir) error {
	m, err := dir.Network()
	switch {
	case errors.Is(err, state.ErrAbsent):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("this node is a member of the network %s already: start it with overlayd up, or name another "+
		"directory than %s with --state", m.Network.Name, dir.Path())
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
