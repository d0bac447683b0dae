package config

import "testing"

func TestFormsOfTheCeiling(t *testing.T) {
	for text, want := range map[string]uint64{
		"": 0, "0": 0, "0M": 0, "64k": 64_000, "64K": 64_000, "20M": 20_000_000, "1.5G": 1_500_000_000, "20000000": 20_000_000,
	} {
		c, _, err := load(t, []string{"--relay-ceiling", text}, nil, "# empty\n")
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if c.RelayCeiling != want {
			t.Errorf("%s is %d, want %d", text, c.RelayCeiling, want)
		}
	}
}

func TestNetworksLabelsAndRatesSayWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    string
	}{
		{
			"subnet with host bits",
			[]string{"--subnets", "192.168.7.1/24"},
			nil, "",
			"--subnets: 192.168.7.1/24 has bits beyond its length: write 192.168.7.0/24",
		},
		{
			"subnet without length", nil, nil, "subnets: [192.168.7.0]",
			`"subnets" in FILE: invalid network "192.168.7.0": write ADDRESS/LENGTH, such as 192.168.7.0/24 or fd00:7::/64`,
		},
		{
			"default route",
			[]string{"--subnets", "::/0"},
			nil, "",
			"--subnets: ::/0 is everything: name the networks behind the node, such as 192.168.7.0/24",
		},
		{
			"half of everything",
			[]string{"--subnets", "128.0.0.0/1"},
			nil, "",
			"--subnets: 128.0.0.0/1 overlaps 169.254.0.0/16, the link-local addresses, which no other node can use: leave them out",
		},
		{
			"subnet twice", nil, nil, "subnets: [10.0.0.0/8, 10.0.0.0/8]",
			`"subnets" in FILE: 10.0.0.0/8 is given twice: keep one of them`,
		},
		{
			"too many subnets", nil, nil, "subnets: [1.0.0.0/8,2.0.0.0/8,3.0.0.0/8,4.0.0.0/8,5.0.0.0/8,6.0.0.0/8,7.0.0.0/8,8.0.0.0/8,9.0.0.0/8]",
			`"subnets" in FILE: 9 are too many: give at most 8`,
		},
		{
			"gateway elsewhere", nil, nil, "subnets: [192.168.7.0/24]\ngateway: [192.168.8.1]",
			`"gateway" in FILE: 192.168.8.1 is no host's address within one of the subnets: name its network there as well`,
		},
		{
			"gateway is the network", nil, nil, "subnets: [192.168.7.0/24]\ngateway: [192.168.7.0]",
			`"gateway" in FILE: 192.168.7.0 is no host's address within one of the subnets: name its network there as well`,
		},
		{"gateway", []string{"--gateway", "router"}, nil, "", `--gateway: "router" is no address, such as 192.168.7.1`},
		{"label without value", []string{"--labels", "site"}, nil, "", `--labels: "site" is not KEY=VALUE, such as site=belmont`},
		{"label twice", nil, nil, "labels: [a=1, a=2]", `"labels" in FILE: "a" is given twice: keep one of them`},
		{
			"labels as a map", nil, nil, "labels:\n  site: belmont",
			`"labels" in FILE takes a list: write it as ["…", "…"] on the same line`,
		},
		{"labels as a number", nil, nil, "labels: 7", `"labels" in FILE: a list of KEY=VALUE belongs here`},
		{
			"long key", nil, nil, "labels: [abcdefghijklmnopq=1]",
			`"labels" in FILE: "abcdefghijklmnopq" is no key for a label: take 1 to 16 bytes of text without blanks`,
		},
		{
			"value with an escape", nil, nil, "labels: [\"a=\\e[31m\"]",
			`"labels" in FILE: "\x1b[31m" is no value for a label: take at most 32 bytes of text`,
		},
		{"too many labels", []string{"--labels", "a=,b=,c=,d=,e="}, nil, "", "--labels: 5 are too many: give at most 4"},
		{
			"ceiling in words", nil, nil, "relay-ceiling: 20Mbit",
			`"relay-ceiling" in FILE: "20Mbit" is not bits a second, such as 20M: a number and at most one of k, M, G`,
		},
		{
			"ceiling without its unit", nil,
			[]string{"OVERLAYD_RELAY_CEILING=20"},
			"",
			`OVERLAYD_RELAY_CEILING: "20" is out of range: choose 10k to 1000G bits a second, or 0 for no bound`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fails(t, tt.args, tt.environ, tt.file, tt.want)
		})
	}
}
