package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"overlayd/internal/cli"
	"overlayd/internal/lab/netns"
)

// refusesToStart runs overlayd up, which must fail with one sentence and leave nothing behind: no network, no
// interface, no socket.
func (d *service) refusesToStart(cmd *exec.Cmd, words ...string) {
	d.Helper()
	state, devices, socket := d.snapshot(d.state), d.devices(), exists(d.socket)
	d.refused(d.run(cmd), words...)
	d.unchanged(d.state, state)
	if after := d.devices(); after != devices {
		d.Errorf("interfaces and routes were\n%s\nand are\n%s", devices, after)
	}
	if exists(d.socket) != socket {
		d.Error("the control socket was made or removed")
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// devices lists the interfaces of the namespace, their addresses and routes.
func (b *bench) devices() string {
	b.Helper()
	var text strings.Builder
	b.must(b.ns.Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			fmt.Fprintln(&text, l.Attrs().Name, l.Type())
		}
		addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			fmt.Fprintln(&text, a.IPNet, a.LinkIndex)
		}
		routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
		for _, r := range routes {
			fmt.Fprintln(&text, r.Dst, r.LinkIndex, r.Protocol)
		}
		return err
	}))
	return text.String()
}

func TestUpRefusesABadConfiguration(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	file := func(text string) string {
		path := b.path("overlayd.yaml")
		b.must(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	for text, words := range map[string][]string{
		"interfacee: wg0\n":            {"interfacee", "overlayd.yaml", `"interface"`},
		"probe:\n  seleced: 100ms\n":   {"probe.seleced", "overlayd.yaml", "probe.selected"},
		"mtu: many\n":                  {`"mtu" in`, "overlayd.yaml", "many"},
		"mtu: 100\n":                   {`"mtu" in`, "1280"},
		"listen: 203.0.113.7:99999\n":  {`"listen" in`, "99999"},
		"relay: sometimes\n":           {"sometimes", "auto"},
		"probe:\n\tidle: 1s\n":         {"not valid YAML"},
		"interface: [a, b]\n":          {`"interface" in`},
		"endpoints: [belmont:51871]\n": {"belmont:51871"},
		"log: debug\n":                 {`"log" in`, "group"},
	} {
		d.refusesToStart(b.command("overlayd", "up", "--config", file(text), "--state", d.state), words...)
	}
	d.refusesToStart(b.command("overlayd", "up", "--config", b.path("absent.yaml"), "--state", d.state), "no file", "--config")
	d.refusesToStart(b.command("overlayd", d.flags("--probe-idle", "soon")...), "--probe-idle", "soon")
	d.refusesToStart(b.command("overlayd", d.flags("--interface", "a name with spaces")...), "--interface")
	d.refusesToStart(b.command("overlayd", d.flags("--lisen", ":1")...), "--lisen")
	d.refusesToStart(b.command("overlayd", d.flags("--name", "No Name")...), "--name")
	for variable, words := range map[string][]string{
		"OVERLAYD_INTERFACEE=wg0":  {"OVERLAYD_INTERFACEE", "OVERLAYD_INTERFACE"},
		"OVERLAYD_MTU=many":        {"OVERLAYD_MTU", "many"},
		"OVERLAYD_CONFIG=absent":   {"no file", "OVERLAYD_CONFIG"},
		"OVERLAYD_SELECT_RATIO=11": {"OVERLAYD_SELECT_RATIO"},
	} {
		cmd := b.command("overlayd", "up", "--state", d.state, "--socket", d.socket)
		cmd.Env = append(cmd.Env, variable)
		d.refusesToStart(cmd, words...)
	}
}

func TestUpRefusesWhatIsInUse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)

	port := b.listenUDP(b.ns, "0.0.0.0:51871")
	d.refusesToStart(b.command("overlayd", d.flags()...), "51871", "in use", "--listen")
	b.must(port.Close())
	port = b.listenUDP(b.ns, "[::]:51871")
	d.refusesToStart(b.command("overlayd", d.flags()...), "51871", "in use", "--listen")
	b.must(port.Close())

	d.listen = "203.0.113.7:51871"
	d.refusesToStart(b.command("overlayd", d.flags()...), "203.0.113.7", "no interface", "--listen")
	d.listen = ":51871"

	far := b.namespace()
	b.must(netns.Connect(b.ns, d.device, far, "lan0", 1500))
	d.refusesToStart(b.command("overlayd", d.flags()...), d.device, "another", "--interface")
	b.must(b.ns.AddAddress(d.device, netip.MustParsePrefix("10.71.4.4/16"))) // of the LAN, and of the default network
	d.device = "overlay1"
	d.refusesToStart(b.command("overlayd", d.flags()...), "10.71.0.0/16", "overlay0", "overlayd init --prefix")
	b.works(b.overlayd("init", "--name", "belmont", "--prefix", "10.72.0.0/16", "--state", d.state))
	d.start()
	d.stop()
}

func TestUpNeedsRoot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	b.must(os.Mkdir(d.state, 0o700))
	b.must(os.Chown(d.state, nobody, nobody))
	b.must(os.Mkdir(b.path("run"), 0o700))
	b.must(os.Chown(b.path("run"), nobody, nobody))
	d.socket = b.path("run", "overlayd.sock")
	d.refusesToStart(asNobody(b.command("overlayd", d.flags()...)), "root", "sudo")

	b.must(os.Chown(d.state, 0, 0))
	d.refusesToStart(asNobody(b.command("overlayd", d.flags()...)), d.state, "root", "--state")

	// and with the network there
	b.works(b.overlayd("init", "--name", "belmont", "--state", b.path("other")))
	d.state = b.path("other")
	b.must(exec.Command("chown", "-R", "65534:65534", d.state).Run())
	d.refusesToStart(asNobody(b.command("overlayd", d.flags()...)), "root", "sudo")
}

func TestUpRefusesAnIdentityThatItCannotRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	b.works(b.overlayd("init", "--name", "belmont", "--state", d.state))
	b.must(os.Mkdir(b.path("run"), 0o700))
	b.must(exec.Command("chown", "-R", "65534:65534", d.state, b.path("run")).Run())
	d.socket = b.path("run", "overlayd.sock")
	identity := d.state + "/identity"
	b.must(os.Chown(identity, 0, 0))
	before := d.snapshot(d.state)
	r := d.run(asNobody(b.command("overlayd", d.flags()...)))
	b.refused(r, identity, "cannot be read", "user 0", "chown root")
	if r.status != cli.ExitConfig {
		t.Errorf("exit status %d", r.status)
	}
	d.unchanged(d.state, before)
}

func TestUpNeedsTUNDevices(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	d.runHidden("/dev/net", func(run func(*exec.Cmd) result) {
		d.refused(run(b.command("overlayd", d.flags()...)), "/dev/net/tun", "modprobe tun")
	})
	d.unchanged(d.state, nil)
}

// runHidden runs commands in the namespace that find an empty directory in the place of the given one.
func (b *bench) runHidden(dir string, f func(run func(*exec.Cmd) result)) {
	b.Helper()
	jobs, done := make(chan func()), make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread with its own view of the file system ends here
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return fmt.Errorf("make a mount namespace: %w", err)
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return fmt.Errorf("make mounts private: %w", err)
			}
			return unix.Mount("none", dir, "tmpfs", 0, "")
		}()
		for job := range jobs {
			job()
		}
	}()
	if err := <-done; err != nil {
		close(jobs)
		b.Skipf("cannot hide %s: %v", dir, err)
	}
	defer close(jobs)
	f(func(cmd *exec.Cmd) (r result) {
		finished := make(chan struct{})
		jobs <- func() {
			defer close(finished)
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run()
			r = result{status: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
		}
		<-finished
		return r
	})
}

func TestASecondDaemonDoesNotHarmTheFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.node("belmont", b.ns).start()
	for name, try := range map[string]func(*service){
		"state": func(d *service) {
			d.state, d.socket, d.device, d.listen = first.state, b.path("x.sock"), "other0", ":0"
		},
		"socket":    func(d *service) { d.socket, d.device, d.listen = first.socket, "other0", ":0" },
		"interface": func(d *service) { d.socket, d.listen = b.path("x.sock"), ":0" },
		"port":      func(d *service) { d.socket, d.device = b.path("x.sock"), "other0" },
		"addresses": func(d *service) { d.socket, d.device, d.listen = b.path("x.sock"), "other0", ":0" },
	} {
		second := b.node("boston-"+name, b.ns)
		try(second)
		before := b.snapshot(first.state)
		var word string
		switch name {
		case "state", "socket":
			word = "overlayctl"
		case "interface", "port":
			word = "--" + map[string]string{"interface": "interface", "port": "listen"}[name]
		case "addresses":
			word = "10.71.0.0/16"
		}
		start := b.command("overlayd", second.flags()...)
		if name == "state" { // which the first one goes on to write
			b.refused(b.run(start), word)
		} else {
			second.refusesToStart(start, word)
		}
		after := b.snapshot(first.state)
		for _, file := range []string{"identity", "network", "root"} { // the first one writes its records by itself
			if after[file] != before[file] || after[file] == "" {
				t.Errorf("%s: the file %s of the first daemon was changed", name, file)
			}
		}
		if s := first.status(); s.Node != "belmont" {
			t.Errorf("%s: the first daemon is %s now", name, s.Node)
		}
	}
	first.stop()
}

func TestUpRefusesABadSocketPath(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	d.socket = b.path(strings.Repeat("x", 120))
	d.refusesToStart(b.command("overlayd", d.flags()...), "socket", "107")

	file := b.path("file")
	b.must(os.WriteFile(file, []byte("a person's"), 0o600))
	d.socket = file + "/overlayd.sock" // its directory is missing, and cannot be made
	d.refusesToStart(b.command("overlayd", d.flags()...), "control socket", file, "--socket")
	d.socket = file
	d.refusesToStart(b.command("overlayd", d.flags()...), file, "no socket", "--socket")
	if text, err := os.ReadFile(file); err != nil || string(text) != "a person's" {
		t.Errorf("%s was changed: %v", file, err)
	}
	// One that a daemon left behind when it was killed is in nobody's way, nor is a directory that is not there yet.
	d.socket = b.path("run", "overlayd.sock")
	b.must(os.Mkdir(b.path("run"), 0o755))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: d.socket})
	b.must(err)
	l.SetUnlinkOnClose(false)
	b.must(l.Close())
	again := b.node("belmont", b.ns)
	again.socket = d.socket
	again.startAt(d.socket)
	again.stop()
	again.startAt(b.path("made", "for", "it.sock"))
	again.stop()
}
