package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"overlayd/internal/cli"
	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
)

// ctl runs overlayctl against a backend, in a pipe.
func ctl(t testing.TB, b control.Backend, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	socket, stop := controltest.Serve(t, b)
	defer stop()
	var out, err bytes.Buffer
	status = run(t.Context(), append([]string{"--socket", socket}, args...), nil, strings.NewReader(""), &out, &err)
	return status, out.String(), err.String()
}

// prints checks a command that works.
func prints(t *testing.T, b control.Backend, want string, args ...string) {
	t.Helper()
	status, stdout, stderr := ctl(t, b, args...)
	if status != 0 || stderr != "" {
		t.Errorf("status %d, errors %q", status, stderr)
	}
	if want = strings.TrimPrefix(want, "\n"); stdout != want {
		t.Errorf("printed\n%s\nwant\n%s", stdout, want)
	}
}

func TestPathsTellTheWayAndWhy(t *testing.T) {
	prints(t, &controltest.Backend{}, `
PEER       STATE  VIA            RTT   JITTER  LOSS OUT  LOSS IN  SINCE  SWITCHES  WHY
boston     up     cambridge  21.4 ms  0.30 ms        0%     1.2%  1m35s         3  direct path dead: 4 probes unanswered
cambridge  dead   -                -        -         -        -      -         0  no path works
`, "paths")
}

func TestPathsOfOnePeer(t *testing.T) {
	prints(t, &controltest.Backend{}, `
PEER    STATE  VIA            RTT   JITTER  LOSS OUT  LOSS IN  SINCE  SWITCHES  WHY
boston  up     cambridge  21.4 ms  0.30 ms        0%     1.2%  1m35s         3  direct path dead: 4 probes unanswered
`, "paths", "boston")
}

func TestPathsOfAPeerThatIsCutOffFails(t *testing.T) {
	status, stdout, stderr := ctl(t, &controltest.Backend{}, "paths", "cambridge")
	want := strings.TrimPrefix(`
PEER       STATE  VIA  RTT  JITTER  LOSS OUT  LOSS IN  SINCE  SWITCHES  WHY
cambridge  dead   -      -       -         -        -      -         0  no path works
`, "\n")
	if status != cli.ExitNoPath || stdout != want || stderr != "" {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	if status, stdout, _ := ctl(t, &controltest.Backend{}, "-o", "json", "paths", "cambridge"); status != cli.ExitNoPath || !strings.HasPrefix(stdout, "{") {
		t.Errorf("in JSON: status %d, %q", status, stdout)
	}
}

func TestWhyShowsEveryPathTermByTerm(t *testing.T) {
	prints(t, &controltest.Backend{}, `
boston (10.71.0.3, fd00:71::3): up, via cambridge: direct path dead: 4 probes unanswered; inbound direct; cambridge preferred (rule 5 by root)
  critical (balanced): cambridge, and copies newton → cambridge
  latency in the shadow: cambridge; 2 switches; another path for 12 of 95 s; saved 1.50 ms a round trip, -0.01% loss, 0.5 s down
  USE       VIA        STATE  SINCE      RTT   JITTER  LOSS OUT  LOSS IN  COST
  selected  cambridge  up     1m35s  21.4 ms  0.30 ms        0%     1.2%  22.0
      198.51.100.7:51871; rtt 21.0 ms to 22.0 ms, loss 0% to 5.0%, in bursts of 1.5, 0.1% overtaken, carried 94.0 Mbit/s, 20.0% loaded; rtt 21.4 (21.4 ms) + jitter 0.6 (2 × 0.3 ms); least cost
  -         direct     dead   1m35s        -        -    100.0%        -     -
      198.51.100.3:51871; 4 probes unanswered

cambridge (10.71.0.2): dead: no path works
`, "paths", "--why")
}

func TestTerminalFoldsTheLastColumn(t *testing.T) {
	s := &screen{columns: 40}
	got := s.table([]column{{title: "PEER"}, {title: "WHY"}}, [][]string{{"boston", "direct path dead: 4 probes unanswered"}})
	want := "PEER    WHY\nboston  direct path dead: 4 probes\n        unanswered\n"
	if got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	s.columns = 20
	if got := s.table([]column{{title: "PEER"}, {title: "WHY"}}, [][]string{{"boston", "a long reason"}}); strings.Count(got, "\n") != 2 {
		t.Errorf("printed\n%s", got)
	}
}

func TestPathsInJSONAreTheContract(t *testing.T) {
	status, stdout, _ := ctl(t, &controltest.Backend{}, "paths", "-o", "json")
	var got struct {
		Node  string
		Peers []struct {
			Peer     string
			Selected *struct {
				Via []string
				RTT *float64 `json:"rtt_ms"`
			}
			Candidates []struct {
				Via []string
				RTT *float64 `json:"rtt_ms"`
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || status != 0 {
		t.Fatalf("status %d: %v in %s", status, err, stdout)
	}
	boston := got.Peers[0]
	if got.Node != "belmont" || boston.Selected.Via[0] != "cambridge" || *boston.Selected.RTT != 21.4 {
		t.Errorf("got %+v", got)
	}
	if last := boston.Candidates[1]; last.Via == nil || len(last.Via) != 0 || last.RTT != nil {
		t.Errorf("the direct path is %+v", last)
	}
}

func TestWatchPrintsOneLineEachTimeInJSON(t *testing.T) {
	b := &controltest.Backend{}
	socket, stop := controltest.Serve(t, b)
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	out := &lines{after: 3, then: cancel}
	var stderr bytes.Buffer
	args := []string{"--socket", socket, "-o", "json", "paths", "boston", "--watch", "--interval", "1ms"}
	if status := run(ctx, args, nil, nil, out, &stderr); status != 0 {
		t.Errorf("status %d: %s", status, stderr.String())
	}
	for line := range strings.Lines(out.String()) {
		var p control.Paths
		if err := json.Unmarshal([]byte(line), &p); err != nil || p.Peers[0].Peer != "boston" {
			t.Errorf("line %q: %v", line, err)
		}
	}
}

func TestWatchEndsWithTheDaemon(t *testing.T) {
	socket, stop := controltest.Serve(t, &controltest.Backend{})
	out := &lines{after: 1, then: func() { go stop() }}
	var stderr bytes.Buffer
	status := run(t.Context(), []string{"--socket", socket, "paths", "-w"}, nil, nil, out, &stderr)
	want := "overlayctl: daemon not running: overlayd on " + socket + " has stopped\n"
	if status != cli.ExitNotRunning || stderr.String() != want {
		t.Errorf("status %d, %q", status, stderr.String())
	}
	if !strings.HasPrefix(out.String(), "belmont  12:00:00\n\nPEER ") {
		t.Errorf("printed %q", out.String())
	}
}

// lines counts writes that end a line, and acts after some.
type lines struct {
	text  bytes.Buffer
	after int
	then  func()
}

func (l *lines) Write(b []byte) (int, error) {
	if l.after--; l.after == 0 {
		defer l.then()
	}
	return l.text.Write(b)
}

func (l *lines) String() string { return l.text.String() }

func TestStatusDescribesTheNode(t *testing.T) {
	prints(t, &controltest.Backend{}, `
node         belmont (0102030405060708090a0b0c0d0e0f10)
network      charles (ffeeddccbbaa99887766554433221100)
addresses    10.71.0.1, fd00:71::1
interface    overlay0, MTU 1400
listen       [::]:51871
endpoints    192.0.2.1:51871
members      3: belmont, boston, cambridge
admin        yes
root key     yes
relay        auto, at most 20 Mbit/s
subnets      192.168.7.0/24
labels       provider=comcast, site=belmont
certificate  good for 90d00h
digest       00ff
version      v1
up           1h30m
tx_packets   12
`, "status")
}

func TestPeersAreListed(t *testing.T) {
	_, stdout, _ := ctl(t, &controltest.Backend{}, "peers")
	rows := strings.Split(stdout, "\n")
	if got, want := strings.Fields(rows[0]), "PEER STATE ADDRESSES HEARD HANDSHAKE RX TX RELAYS ENDPOINTS"; strings.Join(got, " ") != want {
		t.Errorf("titles %q", got)
	}
	if !strings.HasPrefix(rows[1], "boston     up     10.71.0.3, fd00:71::3") || !strings.Contains(rows[1], "1.0 MiB") {
		t.Errorf("first row %q", rows[1])
	}
	if got, want := strings.Fields(rows[2]), "cambridge dead 10.71.0.2 - - 0 B 0 B yes -"; strings.Join(got, " ") != want {
		t.Errorf("second row %q", got)
	}
}

func TestPingPrintsALineAnAnswerAndASummary(t *testing.T) {
	b := &controltest.Backend{RTT: 21400 * time.Microsecond}
	prints(t, b, `
answer from boston via cambridge: seq=1 time=21.4 ms
answer from boston via cambridge: seq=2 time=21.4 ms

--- boston ---
2 sent, 2 answered, 0% lost
round trip min/avg/max/mdev = 21.400/21.400/21.400/0.000 ms
`, "ping", "boston", "--count", "2", "--interval", "1ms")
	prints(t, b, `
answer from boston directly (198.51.100.7:51871): seq=1 time=21.4 ms

--- boston ---
1 sent, 1 answered, 0% lost
round trip min/avg/max/mdev = 21.400/21.400/21.400/0.000 ms
`, "ping", "boston", "-c", "1", "--via", "direct")
	prints(t, b, `
answer from boston via newton → cambridge: seq=1 time=21.4 ms

--- boston ---
1 sent, 1 answered, 0% lost
round trip min/avg/max/mdev = 21.400/21.400/21.400/0.000 ms
`, "ping", "boston", "-c", "1", "--via", "newton, cambridge")
	vias := b.Pinged()
	if vias[0].Via != nil || vias[2].Via == nil || len(vias[2].Via) != 0 || len(vias[3].Via) != 2 {
		t.Errorf("asked for %+v", vias)
	}
}

func TestPingWithoutAnyAnswerFails(t *testing.T) {
	status, stdout, stderr := ctl(t, &controltest.Backend{}, "ping", "boston", "-c", "2", "-i", "1ms", "--timeout", "5ms")
	want := "seq=1 no answer within 5ms\nseq=2 no answer within 5ms\n\n--- boston ---\n2 sent, 0 answered, 100% lost\n"
	if status != cli.ExitNoPath || stdout != want || stderr != "" {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
}

func TestPingInJSONIsOneObject(t *testing.T) {
	_, stdout, _ := ctl(t, &controltest.Backend{RTT: time.Millisecond}, "ping", "boston", "-c", "2", "-i", "1ms", "-o", "json")
	var got pingSummary
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Answered != 2 || *got.Mean != 1 || len(got.Answers) != 2 {
		t.Errorf("%v: %s", err, stdout)
	}
}

func TestPingGoesOnUntilInterrupted(t *testing.T) {
	socket, stop := controltest.Serve(t, &controltest.Backend{RTT: time.Millisecond})
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	out := &lines{after: 3, then: cancel}
	args := []string{"--socket", socket, "ping", "boston", "-c", "0", "-i", "1ms"}
	if status := run(ctx, args, nil, nil, out, &bytes.Buffer{}); status != 0 {
		t.Errorf("status %d", status)
	}
	if !strings.Contains(out.String(), "--- boston ---\n3 sent, 3 answered") {
		t.Errorf("printed %s", out.String())
	}
}

func TestDownAsksTheDaemonToStop(t *testing.T) {
	b := &controltest.Backend{}
	prints(t, b, "", "down")
	if !b.WentDown() {
		t.Error("it was not asked")
	}
}

func TestDownWaitsForTheProcess(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skipf("no process to wait for: %v", err)
	}
	b := &process{cmd: cmd}
	if status, _, stderr := ctl(t, b, "down"); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
	if cmd.ProcessState == nil {
		_ = cmd.Wait()
	}
}

// process is a daemon that dies when it is asked to.
type process struct {
	controltest.Backend
	cmd *exec.Cmd
}

func (p *process) Status(ctx context.Context) (control.Status, error) {
	s, err := p.Backend.Status(ctx)
	s.PID = p.cmd.Process.Pid
	return s, err
}

func (p *process) Down(context.Context) error { return p.cmd.Process.Kill() }

func TestErrorsAreOneSentence(t *testing.T) {
	for _, tt := range []struct {
		name    string
		failure error
		args    []string
		status  int
		want    string
	}{
		{"unknown peer", nil, []string{"paths", "paris"}, cli.ExitUnknown, `no such peer as "paris"`},
		{"not an admin", fmt.Errorf("%w: ask on belmont", control.ErrNotAdmin), []string{"invite"}, cli.ExitPermission, "not an admin node: ask on belmont"},
		{"escapes are not passed on", fmt.Errorf("a\x1b[31mb\nc"), []string{"status"}, 1, "a[31mbc"},
		{"unknown command", nil, []string{"pats"}, cli.ExitUsage, `unknown command "pats": see overlayctl --help`},
		{"unknown flag", nil, []string{"paths", "--wat"}, cli.ExitUsage, "unknown flag: --wat: overlayctl paths --help lists the flags"},
		{"unknown format", nil, []string{"paths", "-o", "xml"}, cli.ExitUsage, `--output "xml" is neither table nor json`},
		{"no peer", nil, []string{"ping"}, cli.ExitUsage, "overlayctl ping takes one peer, and was given 0 arguments"},
		{"two peers", nil, []string{"paths", "a", "b"}, cli.ExitUsage, "overlayctl paths takes at most one peer, and was given 2 arguments"},
		{"argument for status", nil, []string{"status", "x"}, cli.ExitUsage, "overlayctl status takes no argument, and was given 1 arguments"},
		{
			"odd via", nil,
			[]string{"ping", "x", "--via", "a,,b"},
			cli.ExitUsage,
			`--via "a,,b" is neither relays with commas between them nor the word direct`,
		},
		{"odd count", nil, []string{"ping", "x", "-c", "-1"}, cli.ExitUsage, "--count -1 is less than nothing: take 0 to go on until interrupted"},
		{"odd interval", nil, []string{"ping", "x", "-i", "0s"}, cli.ExitUsage, "--interval 0s is not a time to wait: take 1s"},
		{"odd watch", nil, []string{"paths", "-w", "--interval", "0s"}, cli.ExitUsage, "--interval 0s is not a time to wait: take 1s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := ctl(t, &controltest.Backend{Failure: tt.failure}, tt.args...)
			if status != tt.status || stdout != "" || stderr != "overlayctl: "+tt.want+"\n" {
				t.Errorf("status %d, %q, %q", status, stdout, stderr)
			}
		})
	}
}

func TestWithoutDaemonItSaysHowToStartOne(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "o.sock")
	var out, stderr bytes.Buffer
	status := run(t.Context(), []string{"status"}, []string{"OVERLAYD_SOCKET=" + socket}, nil, &out, &stderr)
	want := "overlayctl: daemon not running: no overlayd answers on " + socket +
		": start one with `sudo overlayd up`, or name its socket with --socket\n"
	if status != cli.ExitNotRunning || out.Len() != 0 || stderr.String() != want {
		t.Errorf("status %d, %q", status, stderr.String())
	}
}

func TestEmptyNetworkSaysHowToInvite(t *testing.T) {
	s := &session{screen: newScreen(&bytes.Buffer{}, nil)}
	if got := s.pathsText(control.Paths{}, false); !strings.Contains(got, "overlayctl invite") {
		t.Errorf("got %q", got)
	}
}

func TestTimesAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 95 * time.Second: "1m35s", 192 * time.Minute: "3h12m",
		99 * time.Hour: "4d03h",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}
