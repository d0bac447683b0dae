package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// load runs Load as a command would. A text that is not empty becomes the named configuration file; FILE in args and
// environment stands for its path.
func load(t testing.TB, args, environ []string, text string) (Config, string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "overlayd.yaml")
	if text != "" {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", file}, args...)
	}
	fs := pflag.NewFlagSet("up", pflag.ContinueOnError)
	Flags(fs)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "FILE", file)
	}
	for i := range environ {
		environ[i] = strings.ReplaceAll(environ[i], "FILE", file)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	c, err := Load(fs, environ)
	return c, file, err
}

func equal(t testing.TB, want, got Config) {
	t.Helper()
	compare := cmpopts.EquateComparable(netip.AddrPort{}, netip.Prefix{}, netip.Addr{})
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func defaults() Config {
	return Config{
		State: "/var/lib/overlayd", Socket: "/run/overlayd/overlayd.sock", Listen: netip.MustParseAddrPort("[::]:51871"),
		Interface: "overlay0", Create: CreateAuto, MTU: 1400, Relay: RelayAuto, Copies: 2_000_000, Log: Log{Level: slog.LevelInfo, Format: LogText},
		Probe: Probe{
			Selected: 100 * time.Millisecond, Standby: 250 * time.Millisecond, Recent: time.Second, Idle: 25 * time.Second,
		},
		Select: Select{
			Algorithm: "balanced", Hold: time.Second, Margin: 3 * time.Millisecond, Ratio: 0.1,
		},
	}
}

func TestDefaultsNeedNoFile(t *testing.T) {
	if _, err := os.Stat(DefaultFile); err == nil {
		t.Skipf("%s exists on this machine", DefaultFile)
	}
	c, _, err := load(t, nil, []string{"PATH=/bin", "HOME=/"}, "")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, defaults(), c)
}

func TestFlagBeatsVariableBeatsFileBeatsDefault(t *testing.T) {
	const file = "mtu: 1300\nname: from-file\nlog:\n  level: warn\nprobe:\n  idle: 30s\n"
	environ := []string{"OVERLAYD_MTU=1320", "OVERLAYD_NAME=from-env", "OVERLAYD_LOG_LEVEL=error"}
	c, path, err := load(t, []string{"--mtu", "1340", "--log-level", "debug"}, environ, file)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.File, want.MTU, want.Name = path, 1340, "from-env"
	want.Log.Level, want.Probe.Idle = slog.LevelDebug, 30*time.Second
	equal(t, want, c)
}

// everySetting is one value other than the default for each setting, as text.
func everySetting() (values map[string]string, want Config) {
	values = map[string]string{
		"state": "/s", "socket": "/r/o.sock", "listen": "192.0.2.1:7000", "interface": "ov_1", "name": "belmont",
		"create-network": "never", "mtu": "1280", "endpoints": "203.0.113.7:51871,[2001:db8::7]:51871", "relay": "never",
		"relay-ceiling": "2.5M", "subnets": "192.168.7.0/24,fd00:7::/64", "gateway": "192.168.7.1",
		"labels":  "site=belmont,motto=a=b c",
		"classes": "critical protocol=udp port=5060-5061 port=9,bulk peer=boston network=10.2.0.0/16 dscp=ef", "copies": "3M",
		"log::level": "debug", "log::format": "json",
		"probe::selected": "50ms", "probe::standby": "60ms", "probe::recent": "2s", "probe::idle": "26s",
		"select::algorithm": "latency", "select::classes": "bulk=throughput,critical=loss", "select::shadow": "direct",
		"select::hold": "3s", "select::margin": "4ms", "select::ratio": "0.25",
	}
	want = Config{
		State: "/s", Socket: "/r/o.sock", Listen: netip.MustParseAddrPort("192.0.2.1:7000"), Interface: "ov_1",
		Name: "belmont", Create: CreateNever, MTU: 1280, Relay: RelayNever, Log: Log{Level: slog.LevelDebug, Format: LogJSON},
		Endpoints: []netip.AddrPort{
			netip.MustParseAddrPort("203.0.113.7:51871"), netip.MustParseAddrPort("[2001:db8::7]:51871"),
		},
		RelayCeiling: 2_500_000,
		Subnets:      []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("fd00:7::/64")},
		Gateways:     []netip.Addr{netip.MustParseAddr("192.168.7.1")},
		Labels:       map[string]string{"site": "belmont", "motto": "a=b c"},
		Classes: []ClassRule{
			{Class: wire.Critical, Protocols: []uint8{17}, Ports: []PortRange{{5060, 5061}, {9, 9}}},
			{
				Class: wire.Bulk, DSCP: []uint8{46}, Networks: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")},
				Peer: "boston",
			},
		},
		Copies: 3_000_000,
		Probe: Probe{
			Selected: 50 * time.Millisecond, Standby: 60 * time.Millisecond, Recent: 2 * time.Second, Idle: 26 * time.Second,
		},
		Select: Select{
			Algorithm: "latency", Shadow: "direct",
			Classes: ClassAlgorithms{wire.Bulk: "throughput", wire.Critical: "loss"},
			Hold:    3 * time.Second, Margin: 4 * time.Millisecond, Ratio: 0.25,
		},
	}
	return values, want
}

func TestEverySettingIsAFlagAVariableAndAKey(t *testing.T) {
	values, want := everySetting()
	var args, environ, top []string
	groups := map[string][]string{}
	for _, s := range settings() {
		value, ok := values[s.key]
		if !ok {
			t.Fatalf("the table of this test lacks %s", s.key)
		}
		args = append(args, "--"+s.flag(), value)
		environ = append(environ, s.env()+"="+value)
		if s.list {
			value = "[" + `"` + strings.ReplaceAll(value, ",", `", "`) + `"]`
		}
		if group, key, ok := strings.Cut(s.key, "::"); ok {
			groups[group] = append(groups[group], "  "+key+": "+value)
			continue
		}
		top = append(top, s.key+": "+value)
	}
	for _, group := range sortedKeys(groups) {
		top = append(top, group+":")
		top = append(top, groups[group]...)
	}
	t.Run("flags", func(t *testing.T) {
		c, path, err := load(t, args, nil, "# empty\n")
		if err != nil {
			t.Fatal(err)
		}
		want := want
		want.File = path
		equal(t, want, c)
	})
	t.Run("variables", func(t *testing.T) {
		c, path, err := load(t, nil, environ, "# empty\n")
		if err != nil {
			t.Fatal(err)
		}
		want := want
		want.File = path
		equal(t, want, c)
	})
	t.Run("file", func(t *testing.T) {
		c, path, err := load(t, nil, nil, strings.Join(top, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		want := want
		want.File = path
		equal(t, want, c)
	})
}

func TestFormsOfListen(t *testing.T) {
	for text, want := range map[string]string{
		":51871": "[::]:51871", ":0": "[::]:0", "0.0.0.0:1": "0.0.0.0:1", "[2001:db8::1]:9": "[2001:db8::1]:9",
		"[::ffff:192.0.2.1]:9": "192.0.2.1:9",
	} {
		c, _, err := load(t, []string{"--listen", text}, nil, "# empty\n")
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if c.Listen.String() != want {
			t.Errorf("%s is %v, want %s", text, c.Listen, want)
		}
	}
}

func TestWhatIsCommentedOutIsAbsent(t *testing.T) {
	c, path, err := load(t, nil, []string{"OVERLAYD_NAME="}, "probe:\n  # idle: 20s\nlog:\nname:\nlabels:\nsubnets:\nrelay-ceiling:\nclasses:\ncopies:\n")
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.File = path
	equal(t, want, c)
}

func TestVariableNamesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(file, []byte("mtu: 1300"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := load(t, nil, []string{"OVERLAYD_CONFIG=" + file}, "")
	if err != nil || c.MTU != 1300 || c.File != file {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestErrorsSayWhereAndWhatToDo(t *testing.T) {
	_, unknown := pathselect.Lookup("best")
	tests := []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    string // FILE stands for the path
	}{
		{"unknown key", nil, nil, "lisen: :1", `unknown key "lisen" in FILE: did you mean "listen"?`},
		{
			"unknown key in a group", nil, nil, "probe:\n  standbye: 1s",
			`unknown key "probe.standbye" in FILE: did you mean "probe.standby"?`,
		},
		{
			"key like nothing", nil, nil, "wireguard: x",
			"unknown key \"wireguard\" in FILE: see `overlayd up --help` for those that exist",
		},
		{
			"keys with dots stay whole", nil, nil, "10.0.0.0/8: x",
			"unknown key \"10.0.0.0/8\" in FILE: see `overlayd up --help` for those that exist",
		},
		{
			"flat key of a group", nil, nil, "probe.idle: 1s",
			`unknown key "probe.idle" in FILE: write "idle: …" below "probe:", indented`,
		},
		{
			"value for a group", nil, nil, "probe: 1s",
			`"probe" in FILE is a group: write its settings below it, indented, such as "selected: …"`,
		},
		{
			"group for a value", nil, nil, "listen:\n  port: 1",
			`"listen" in FILE takes one value: write it on the same line`,
		},
		{
			"unknown variable", nil,
			[]string{"OVERLAYD_LISEN=:1"},
			"",
			`unknown variable OVERLAYD_LISEN in the environment: did you mean "OVERLAYD_LISTEN"?`,
		},
		{"named file is absent", []string{
			"--config",
			"FILE",
		}, nil, "", "there is no file FILE: create it, or leave out --config"},
		{
			"file of the variable is absent", nil,
			[]string{"OVERLAYD_CONFIG=FILE"},
			"",
			"there is no file FILE: create it, or leave out OVERLAYD_CONFIG",
		},
		{"broken YAML", nil, nil, "listen: [", "FILE is not valid YAML: line 1: did not find expected node content"},
		{
			"key given twice", nil, nil, "mtu: 1300\nmtu: 1400",
			`FILE is not valid YAML: line 2: mapping key "mtu" already defined at line 1`,
		},
		{
			"listen without port",
			[]string{"--listen", "192.0.2.1"},
			nil, "",
			`--listen: "192.0.2.1" is not ADDRESS:PORT, such as :51871 or 192.0.2.1:51871`,
		},
		{
			"listen in the file", nil, nil, "listen: 51871",
			`"listen" in FILE: "51871" is not ADDRESS:PORT, such as :51871 or 192.0.2.1:51871`,
		},
		{
			"endpoint", nil,
			[]string{"OVERLAYD_ENDPOINTS=203.0.113.7"},
			"",
			`OVERLAYD_ENDPOINTS: "203.0.113.7" is not ADDRESS:PORT, such as 203.0.113.7:51871 or [2001:db8::7]:51871`,
		},
		{
			"endpoint in the file", nil, nil, "endpoints: [\"a:1\"]",
			`"endpoints" in FILE: "a:1" is not ADDRESS:PORT, such as 203.0.113.7:51871 or [2001:db8::7]:51871`,
		},
		{"map for endpoints", nil, nil, "endpoints: 7", `"endpoints" in FILE: a list of ADDRESS:PORT belongs here`},
		{
			"too many endpoints",
			[]string{"--endpoints", strings.Repeat("192.0.2.1:1,", 8) + "192.0.2.1:1"},
			nil, "",
			"--endpoints: 9 are too many: give at most 8",
		},
		{
			"time without unit", nil, nil, "probe:\n  idle: 20",
			`"probe.idle" in FILE: "20" is not a time with its unit, such as 100ms or 20s`,
		},
		{
			"time out of range",
			[]string{"--probe-selected", "1ms"},
			nil, "",
			"--probe-selected: 1ms is out of range: choose 10ms to 5m0s",
		},
		{
			"intervals out of order",
			[]string{"--probe-selected", "500ms"},
			nil, "",
			"the default of --probe-standby: 250ms is shorter than probe.selected, which is 500ms: make it at least as long",
		},
		{"level", []string{"--log-level", "loud"}, nil, "", `--log-level: "loud" is not debug, info, warn or error`},
		{"format", []string{"--log-format", "xml"}, nil, "", `--log-format: "xml" is not text or json`},
		{"relay", nil, nil, "relay: yes", `"relay" in FILE: "yes" is not auto, never or always`},
		{
			"algorithm", nil, nil, "select:\n  algorithm: best",
			`"select.algorithm" in FILE: ` + unknown.Error(),
		},
		{
			"class",
			[]string{"--select-classes", "video=latency"},
			nil, "",
			`--select-classes: "video" is no class of traffic here: take bulk, interactive or critical, and ` +
				`select.algorithm for all others`,
		},
		{
			"class twice",
			[]string{"--select-classes", "bulk=loss,bulk=latency"},
			nil, "",
			`--select-classes: "bulk" is given twice: keep one of them`,
		},
		{"class alone", []string{"--select-classes", "bulk"}, nil, "", `--select-classes: "bulk" is not CLASS=ALGORITHM, such as bulk=throughput`},
		{"mtu too small", []string{"--mtu", "576"}, nil, "", "--mtu: 576 is out of range: choose 1280 to 65000"},
		{"mtu not whole", nil, nil, "mtu: 1400.5", `"mtu" in FILE: "1400.5" is not a whole number`},
		{"list for a value", nil, nil, "mtu: [1400]", `"mtu" in FILE: a list stands where one value belongs`},
		{"ratio in words", []string{"--select-ratio", "much"}, nil, "", `--select-ratio: "much" is not a part such as 0.1 or 10%`},
		{"ratio in percent", []string{"--select-ratio", "200%"}, nil, "", "--select-ratio: 2 is out of range: choose 0.01 to 1"},
		{"ratio", []string{"--select-ratio", "nan"}, nil, "", "--select-ratio: NaN is out of range: choose 0.01 to 1"},
		{"hold", []string{"--select-hold", "2h"}, nil, "", "--select-hold: 2h0m0s is out of range: choose 100ms to 1m0s"},
		{
			"name",
			[]string{"--name", "Belmont MA"},
			nil, "",
			`--name: "Belmont MA" is no name for a node: take up to 63 small letters, digits and inner hyphens`,
		},
		{
			"interface",
			[]string{"--interface", "a/b"},
			nil, "",
			`--interface: "a/b" is no name for an interface: take 1 to 15 letters, digits, - or _`,
		},
		{
			"socket too long",
			[]string{"--socket", "/" + strings.Repeat("x", 107)},
			nil, "",
			"--socket: a path of 1 to 107 bytes is needed, this has 108",
		},
		{"state empty", []string{"--state", ""}, nil, "", "--state: a directory is needed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fails(t, tt.args, tt.environ, tt.file, tt.want)
		})
	}
}

// fails checks the sentence of one error; FILE in it stands for the path.
func fails(t *testing.T, args, environ []string, file, want string) {
	t.Helper()
	_, path, err := load(t, args, environ, file)
	if !errors.Is(err, ErrInvalid) {
		t.Fatalf("got %v, want an ErrInvalid", err)
	}
	want = "invalid configuration: " + strings.ReplaceAll(want, "FILE", path)
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestFileIsBounded(t *testing.T) {
	_, path, err := load(t, nil, nil, strings.Repeat("#", maxFileLen+1))
	if err == nil || !strings.Contains(err.Error(), path+" is longer than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestDirectoryIsNoFile(t *testing.T) {
	_, _, err := load(t, []string{"--config", t.TempDir()}, nil, "")
	if err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("listen: :1\nprobe:\n  idle: 3s\n", "OVERLAYD_MTU=1400")
	f.Add("endpoints: [1, {a: b}]", "OVERLAYD_=")
	f.Add("? [a]\n: b", "OVERLAYD_ENDPOINTS=,")
	f.Fuzz(func(t *testing.T, file, env string) {
		_, _, err := load(t, nil, []string{env}, "#\n"+file)
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("error is not ErrInvalid: %v", err)
		}
	})
}

func TestAPartIsANumberOrAPercentage(t *testing.T) {
	for _, text := range []string{"0.25", "25%", "25.0%"} {
		if c, _, err := load(t, nil, nil, "select:\n  ratio: "+text); err != nil || c.Select.Ratio != 0.25 {
			t.Errorf("%s: %v, %v", text, c.Select.Ratio, err)
		}
	}
}
