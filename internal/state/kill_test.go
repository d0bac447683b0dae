package state

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/policy"
)

// writerDir names the directory in which this program writes without end, to be killed.
const writerDir = "OVERLAYD_TEST_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerDir); path != "" {
		fmt.Fprintln(os.Stderr, writeForever(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever makes what is missing, as founding a network does, and then writes one item more each time. It prints how
// many are stored.
func writeForever(path string) error {
	d, err := Open(path)
	if err != nil {
		return err
	}
	id, err := d.Identity()
	if errors.Is(err, ErrAbsent) {
		if id, err = member.NewIdentity(rand.Reader); err == nil {
			err = d.CreateIdentity(id)
		}
	}
	if err != nil {
		return err
	}
	fmt.Println("identity", id.ID())
	m, err := d.Network()
	if errors.Is(err, ErrAbsent) {
		if m, err = oneNode(id); err == nil {
			err = d.SaveNetwork(m)
		}
	}
	if err != nil {
		return err
	}
	items, err := d.Items()
	if err != nil {
		return err
	}
	if _, err := d.NextEpoch(start); err != nil {
		return err
	}
	for n := len(items); ; n++ {
		items = append(items, fmt.Appendf(nil, "item %d", n))
		if err := d.SaveItems(items); err != nil {
			return err
		}
		fmt.Println("items", len(items))
		err := errors.Join(d.SaveNetwork(m), d.SaveRules([]policy.Rule{{ID: policy.ID(n + 1), Kind: policy.Hops, Hops: 2, At: start}}))
		if err != nil {
			return err
		}
	}
}

func oneNode(id member.Identity) (Membership, error) {
	root, err := member.NewRootKey(rand.Reader)
	if err != nil {
		return Membership{}, err
	}
	network, err := member.NewNetwork(root, "test", netip.MustParsePrefix("10.1.0.0/16"), start)
	if err != nil {
		return Membership{}, err
	}
	cert, err := member.Found(root, network, id, "belmont", start)
	if err != nil {
		return Membership{}, err
	}
	return Membership{Network: network, Certificate: cert.Raw()}, nil
}

// TestKilledWhileItWrites kills a writer 200 times, at any time: what it said that is stored is stored, nothing is
// damaged, and the identity is the one it had.
func TestKilledWhileItWrites(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 40
	}
	path := filepath.Join(t.TempDir(), "state")
	identity, stored, epoch := "", 0, uint64(0)
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerDir+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		lines := bufio.NewScanner(out)
		kill := func() { check(t, cmd.Process.Kill()) }
		// At any time of its start, or of its writes.
		timer := time.AfterFunc(time.Duration(mathrand.IntN(40))*time.Millisecond, kill)
		if round%2 > 0 {
			timer.Reset(time.Minute)
		}
		for lines.Scan() {
			var name string
			if _, err := fmt.Sscanf(lines.Text(), "identity %s", &name); err == nil {
				if identity != "" && name != identity {
					t.Fatalf("round %d: identity %s became %s", round, identity, name)
				}
				identity = name
				if round%2 > 0 {
					timer.Reset(time.Duration(mathrand.IntN(30)) * time.Millisecond)
				}
				continue
			}
			_, err := fmt.Sscanf(lines.Text(), "items %d", &stored)
			check(t, err)
		}
		_ = cmd.Wait()
		timer.Stop()

		d, err := Open(path)
		check(t, err)
		content, errs := whole(d)
		if len(errs) > 0 || len(d.Notices()) > 0 {
			t.Fatalf("round %d: damaged: %v, %v", round, errs, d.Notices())
		}
		if identity != "" && content.identity != identity {
			t.Fatalf("round %d: identity %q, want %q", round, content.identity, identity)
		}
		if content.items < stored || content.items > stored+1 {
			t.Fatalf("round %d: %d items, and %d were stored", round, content.items, stored)
		}
		next, err := d.NextEpoch(start)
		if err != nil || next <= epoch {
			t.Fatalf("round %d: epoch %d after %d, %v", round, next, epoch, err)
		}
		stored, epoch = content.items, next
		check(t, d.Close())
	}
	t.Logf("%d rounds, %d items", rounds, stored)
	if stored < rounds/4 {
		t.Errorf("only %d writes in %d rounds: this test has tried nothing", stored, rounds)
	}
}
