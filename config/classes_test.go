package config

import (
	"net/netip"
	"testing"

	"overlayd/internal/wire"
)

func TestARuleIsAMapOrText(t *testing.T) {
	const file = `
classes:
  - {class: critical, protocol: udp, port: [5060, 10000-20000]}
  - {class: interactive, dscp: [ef, 0x22, AF13, cs7, le]}
  - critical protocol=udp port=5060 port=10000-20000
  - {class: bulk, port: 873, peer: boston, network: 192.168.7.9}
  - {class: default, protocol: [icmp, 89], network: ["10.0.0.0/8", "fd00:7::/64"]}
  - default peer=10.71.0.3
`
	c, path, err := load(t, nil, nil, file)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.File = path
	call := ClassRule{Class: wire.Critical, Protocols: []uint8{17}, Ports: []PortRange{{5060, 5060}, {10000, 20000}}}
	want.Classes = []ClassRule{
		call,
		{Class: wire.Interactive, DSCP: []uint8{46, 34, 14, 56, 1}},
		call,
		{
			Class: wire.Bulk, Ports: []PortRange{{873, 873}}, Peer: "boston",
			Networks: []netip.Prefix{netip.MustParsePrefix("192.168.7.9/32")},
		},
		{
			Protocols: []uint8{1, 58, 89},
			Networks:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00:7::/64")},
		},
		{Peer: "10.71.0.3"},
	}
	equal(t, want, c)
}

func TestWhatIsWrongWithARule(t *testing.T) {
	for rule, want := range map[string]string{
		`{class: urgent, port: 1}`:             `"urgent" is not bulk, default, interactive or critical`,
		`{port: 5060}`:                         `a rule needs a class: bulk, default, interactive or critical`,
		`{class: [bulk, critical], port: 1}`:   `a rule has one class: write another rule for "critical"`,
		`critical`:                             `a rule for critical needs a condition, or it is for everything: add dscp, protocol, port, network or peer`,
		`{class: bulk, prot: udp}`:             `"prot" is no condition of a class: use dscp, protocol, port, network or peer`,
		`{class: bulk, dscp: af14}`:            `"af14" is no DSCP: take 0 to 63, or a name such as ef, af41, cs5 or le`,
		`{class: bulk, dscp: cs10}`:            `"cs10" is no DSCP: take 0 to 63, or a name such as ef, af41, cs5 or le`,
		`{class: bulk, dscp: 64}`:              `"64" is no DSCP: take 0 to 63, or a name such as ef, af41, cs5 or le`,
		`{class: bulk, protocol: sip}`:         `"sip" is no protocol: take 0 to 254, or dccp, esp, gre, icmp, ospf, sctp, tcp, udp`,
		`{class: bulk, protocol: 255}`:         `"255" is no protocol: take 0 to 254, or dccp, esp, gre, icmp, ospf, sctp, tcp, udp`,
		`{class: bulk, port: 0}`:               `"0" is no port: take 1 to 65535, or a range such as 5060-5061`,
		`{class: bulk, port: 9-8}`:             `"9-8" is no port: take 1 to 65535, or a range such as 5060-5061`,
		`{class: bulk, port: 65536}`:           `"65536" is no port: take 1 to 65535, or a range such as 5060-5061`,
		`{class: bulk, protocol: 1, port: 80}`: `a rule with a port is for protocols that have ports: leave out the port, or protocol 1`,
		`{class: bulk, network: boston}`:       `invalid network "boston": write ADDRESS/LENGTH, such as 192.168.7.0/24 or fd00:7::/64`,
		`{class: bulk, network: 10.1.1.1/8}`:   `10.1.1.1/8 has bits beyond its length: write 10.0.0.0/8`,
		`{class: bulk, peer: "Boston, MA"}`:    `"Boston, MA" is no name of a node: overlayctl peers lists them`,
		`{class: bulk, peer: [boston, b]}`:     `a rule has one peer: write another rule for "b"`,
		`{class: bulk, port: {from: 1}}`:       `one value belongs here, such as a word or a number`,
		`7`:                                    `a rule for a class is written such as {class: critical, protocol: udp, port: 5060}`,
	} {
		fails(t, nil, nil, "classes:\n  - {class: bulk, port: 1}\n  - "+rule+"\n", `"classes" in FILE: `+want)
	}
	fails(t, []string{"--classes", "bulk port=x"}, nil, "",
		`--classes: "x" is no port: take 1 to 65535, or a range such as 5060-5061`)
	fails(t, nil, nil, "classes: 7\n", `"classes" in FILE: a list of rules belongs here`)
	fails(t, nil, nil, "copies: 0\n", `"copies" in FILE: there is no such bound: choose 10k to 1000G bits a second`)
}

func TestRulesAreBounded(t *testing.T) {
	text := "classes:\n"
	for range MaxClasses + 1 {
		text += "  - bulk port=1\n"
	}
	fails(t, nil, nil, text, `"classes" in FILE: 33 rules are too many: give at most 32`)
}

func TestNamesOfCodePoints(t *testing.T) {
	for name, want := range map[string]uint8{
		"df": 0, "LE": 1, "cs1": 8, "af11": 10, "af23": 22, "cs3": 24, "af33": 30, "cs4": 32, "af41": 34, "cs5": 40,
		"va": 44, "nqb": 45, "EF": 46, "cs6": 48, "63": 63,
	} {
		if got, err := parseDSCP(name); got != want || err != nil {
			t.Errorf("%s is %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"", "cs", "cs8", "cs1x", "af01", "af10", "af14", "af51", "af1", "af111", "-1", "x"} {
		if got, err := parseDSCP(name); err == nil {
			t.Errorf("%q is %d", name, got)
		}
	}
}
