package member

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPrefixOfANetwork(t *testing.T) {
	for _, tt := range []struct {
		prefix string
		reason string // empty: it may be used
	}{
		{"10.71.0.0/16", ""},
		{"10.0.0.0/8", ""},
		{"172.16.0.0/12", ""},
		{"192.168.7.0/24", ""},
		{"100.64.0.0/10", ""},
		{"198.18.5.0/24", ""},
		{"10.0.0.0/29", ""},
		{"127.0.0.0/8", "loopback"},
		{"127.5.0.0/16", "loopback"},
		{"224.0.0.0/8", "multicast"},
		{"239.1.0.0/16", "multicast"},
		{"169.254.0.0/16", "link-local"},
		{"240.0.0.0/8", "reserved"},
		{"0.0.0.0/8", "this network"},
		{"8.8.8.0/24", "public"},
		{"172.0.0.0/8", "public"},
		{"192.168.0.0/15", "public"},
		{"10.71.0.1/16", "not an IPv4 prefix"},
		{"10.0.0.0/30", "between 8 and 29"},
		{"0.0.0.0/0", "between 8 and 29"},
		{"fd00::/16", "not an IPv4 prefix"},
	} {
		err := ValidPrefix(netip.MustParsePrefix(tt.prefix))
		switch {
		case tt.reason == "" && err != nil:
			t.Errorf("%s: %v", tt.prefix, err)
		case tt.reason != "" && (err == nil || !strings.Contains(err.Error(), tt.reason) || !strings.Contains(err.Error(), tt.prefix)):
			t.Errorf("%s: got %v, want a sentence with %q", tt.prefix, err, tt.reason)
		}
	}
}

func TestSubnetBehindANode(t *testing.T) {
	root, err := NewRootKey(zeros{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewNetwork(root, "test", netip.MustParsePrefix("10.71.0.0/16"), time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		subnet string
		reason string // empty: it may be advertised
	}{
		{"192.168.7.0/24", ""},
		{"fd00:7::/64", ""},
		{"8.8.8.0/24", ""},
		{"10.72.0.0/16", ""},
		{"10.71.5.0/24", "itself"},
		{"10.0.0.0/8", "itself"},
		{"64.0.0.0/7", "too large"},
		{"2000::/3", "too large"},
		{n.Prefix6.String(), "itself"},
		{"0.0.0.0/0", "everything"},
		{"::/0", "everything"},
		{"127.0.0.0/8", "loopback"},
		{"::1/128", "loopback"},
		{"169.254.9.0/24", "link-local"},
		{"fe80::/64", "link-local"},
		{"224.0.0.0/4", "multicast"},
		{"192.168.7.9/24", "bits beyond"},
		{"::ffff:10.0.0.0/104", "not a network"},
	} {
		err := n.CheckSubnet(netip.MustParsePrefix(tt.subnet))
		switch {
		case tt.reason == "" && err != nil:
			t.Errorf("%s: %v", tt.subnet, err)
		case tt.reason != "" && (err == nil || !strings.Contains(err.Error(), tt.reason)):
			t.Errorf("%s: got %v, want a sentence with %q", tt.subnet, err, tt.reason)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestNewNetworkAvoidsAttachedOnes(t *testing.T) {
	attached := []Attached{
		{"eth0", netip.MustParsePrefix("10.71.5.0/24")},
		{"eth1", netip.MustParsePrefix("10.72.0.0/15")},
		{"eth0", netip.MustParsePrefix("fd00::/64")},
	}
	if p, ok := FreePrefix(nil); !ok || p.String() != DefaultPrefix {
		t.Errorf("attached to nothing: %s", p)
	}
	if p, ok := FreePrefix(attached); !ok || p.String() != "10.74.0.0/16" {
		t.Errorf("free is %s", p)
	}
	all := []Attached{{"eth0", netip.MustParsePrefix("10.0.0.0/8")}}
	if p, ok := FreePrefix(all); !ok || p.String() != "172.16.0.0/16" {
		t.Errorf("in 10.0.0.0/8 %s is free", p)
	}
	all = append(all, Attached{"docker0", netip.MustParsePrefix("172.16.0.0/12")})
	if p, ok := FreePrefix(all); !ok || p.String() != "100.64.0.0/16" || ValidPrefix(p) != nil {
		t.Errorf("in 172.16.0.0/12 as well %s is free", p)
	}
	if p, ok := FreePrefix(append(all, Attached{"wwan0", netip.MustParsePrefix("100.64.0.0/10")})); ok {
		t.Errorf("%s is called free where nothing is", p)
	}
	list := Overlapping(netip.MustParsePrefix("10.71.0.0/16"), attached)
	if got := DescribeAttached(list); got != "10.71.5.0/24 (eth0)" {
		t.Errorf("overlapping: %s", got)
	}
}
