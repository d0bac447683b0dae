package node

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"overlayd/internal/member"
	"overlayd/internal/state"
)

// storedNode is a state directory with all that a node has which made its network.
func storedNode(t *testing.T, seed byte) string {
	t.Helper()
	random := rand.NewChaCha8([32]byte{seed})
	root, err := member.NewRootKey(random)
	check(t, err)
	network, err := member.NewNetwork(root, "test", netip.MustParsePrefix("10.71.0.0/16"), epoch0)
	check(t, err)
	id := identity(t, random)
	cert, err := member.Found(root, network, id, "belmont", epoch0)
	check(t, err)
	path := filepath.Join(t.TempDir(), "state")
	dir, err := state.Open(path)
	check(t, err)
	check(t, dir.CreateIdentity(id))
	check(t, dir.CreateRootKey(root))
	check(t, dir.SaveNetwork(state.Membership{Network: network, Certificate: cert.Raw()}))
	check(t, dir.Close())
	return path
}

func TestStateThatDoesNotBelongTogetherIsRefused(t *testing.T) {
	other := storedNode(t, 2)
	for _, tt := range []struct {
		name  string
		file  string // of the message
		spoil func(t *testing.T, path string)
		words []string
	}{
		{"no identity", "identity", func(t *testing.T, path string) {
			check(t, os.Remove(filepath.Join(path, "identity")))
			check(t, os.Remove(filepath.Join(path, "identity.copy")))
		}, []string{"missing", "backup", "overlayd reset", "overlayd join"}},
		{"another node's identity", "identity", func(t *testing.T, path string) {
			bring(t, other, path, "identity")
		}, []string{"another node", "backup", "overlayd reset"}},
		{"another network's root key", "root", func(t *testing.T, path string) {
			bring(t, other, path, "root")
		}, []string{"another network", "backup", "overlayctl root restore"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := storedNode(t, 1)
			tt.spoil(t, path)
			dir, err := state.Open(path)
			check(t, err)
			defer func() { check(t, dir.Close()) }()
			_, err = load(dir, epoch0)
			if !errors.Is(err, state.ErrUnusable) {
				t.Fatalf("got %v", err)
			}
			for _, word := range append(tt.words, filepath.Join(path, tt.file)) {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is missing in: %v", word, err)
				}
			}
			if dir.Ran() {
				t.Error("a start that was refused counts as one")
			}
		})
	}
}

func bring(t *testing.T, from, to, name string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from, name))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(to, name), b, 0o600))
}

func TestNodeWithoutRecordsKnowsWhomToAsk(t *testing.T) {
	path := storedNode(t, 1)
	dir, err := state.Open(path)
	check(t, err)
	defer func() { check(t, dir.Close()) }()
	m, err := dir.Network()
	check(t, err)
	m.Known = [][]byte{[]byte("a record")}
	check(t, dir.SaveNetwork(m))
	if got, err := load(dir, epoch0); err != nil || len(got.items) != 1 || string(got.items[0]) != "a record" {
		t.Errorf("knows %q, %v", got.items, err)
	}
	check(t, dir.SaveItems([][]byte{[]byte("one"), []byte("two")}))
	if got, err := load(dir, epoch0); err != nil || len(got.items) != 2 {
		t.Errorf("with its records it knows %q, %v", got.items, err)
	}
}
