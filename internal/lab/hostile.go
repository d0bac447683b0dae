package lab

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"overlayd/internal/lab/emulator"
	"overlayd/internal/lab/hostile"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/tamper"
	"overlayd/internal/lab/wan"
)

// delayedData is how long a hostile relay holds up data.
const delayedData = 150 * time.Millisecond

// tampering is what a hostile member does to packets.
type tampering struct {
	node  string
	what  string     // it has done
	count func() int // how often; to be asked on the emulator's thread
}

// turnHostile makes a member hostile until the end.
func (t *trial) turnHostile(a scenario.Hostile) error {
	st := t.world.sites[a.Node]
	random := rand.New(rand.NewPCG(t.seed, uint64(st.index)))
	t.note(time.Now(), "hostile", fmt.Sprintf("%s %s", a.Node, a.Does))
	switch a.Does {
	case scenario.DropsData:
		t.tamperAsRelay(st, "packets of others lost", tamper.NewRelay(0))
	case scenario.DelaysData:
		t.tamperAsRelay(st, "packets of others held up", tamper.NewRelay(delayedData))
	case scenario.Replays:
		t.tamperAsRepeater(st, "packets sent again", false, random)
	case scenario.Forges:
		t.tamperAsRepeater(st, "forged packets sent", true, random)
	case scenario.Deflects:
		n := t.nodes[a.Node]
		victim := t.world.order[random.IntN(len(t.world.order))].public
		n.lan = append(n.lan, "--endpoints", fmt.Sprintf("%v,%v", hostile.Nowhere, netip.AddrPortFrom(victim, hostile.Nowhere.Port())))
		return n.restart()
	case scenario.OpensCircuits, scenario.FloodsAddresses:
		return t.turnSpeaker(st, a.Does, random)
	default:
		return fmt.Errorf("%s cannot do %q with daemons: run the scenario in simulation, with overlaylab sim", a.Node, a.Does)
	}
	return nil
}

// HostileCommand is the command of overlaylab that runs a hostile member.
const HostileCommand = "hostile-node"

// turnSpeaker starts a daemon in place of a member's that says to others what it should not.
func (t *trial) turnSpeaker(st *site, does scenario.Mischief, random *rand.Rand) error {
	args := []string{HostileCommand, "--does", string(does), "--seed", fmt.Sprint(random.Uint64())}
	for _, other := range t.world.order {
		if other != st {
			args = append(args, "--others", other.public.String())
		}
	}
	n := t.nodes[st.name]
	if _, err := os.Stat(n.tools.overlaylab); err != nil {
		return fmt.Errorf("%s cannot turn hostile without overlaylab beside overlayd: %w", st.name, err)
	}
	n.hostile = args
	return n.restart()
}

// restart kills the daemon and starts another one.
func (n *node) restart() error {
	n.kill()
	return n.start()
}

// tamperAsRelay loses or holds up the data that a site relays.
func (t *trial) tamperAsRelay(st *site, what string, r *tamper.Relay) {
	t.world.wan.AddTap(st.index, func(out bool, b []byte) {
		if !out {
			r.Hears(b)
		}
	})
	t.world.wan.SetEgress(st.index, r.Sends)
	t.tampered = append(t.tampered, tampering{st.name, what, r.Count})
}

// tamperAsRepeater sends what a site hears again.
func (t *trial) tamperAsRepeater(st *site, what string, forges bool, random *rand.Rand) {
	over := t.world.wan
	r := tamper.NewRepeater(forges, random, func(b []byte, wait time.Duration) bool { return over.Inject(st.index, b, wait) })
	over.AddTap(st.index, func(out bool, b []byte) {
		if out {
			r.Sends(b)
		} else {
			r.Hears(time.Now(), b)
		}
	})
	t.tampered = append(t.tampered, tampering{st.name, what, r.Count})
}

// countTampering is how often hostile members have done what they do to packets.
func (t *trial) countTampering() []int {
	counts := make([]int, len(t.tampered))
	t.world.wan.Change(func(wan.Instant, *emulator.Network) {
		for i, x := range t.tampered {
			counts[i] = x.count()
		}
	})
	return counts
}

// noteTampering says so in the time line.
func (t *trial) noteTampering() {
	for i, n := range t.countTampering() {
		t.note(time.Now(), "hostile", fmt.Sprintf("%s: %d %s", t.tampered[i].node, n, t.tampered[i].what))
	}
}
