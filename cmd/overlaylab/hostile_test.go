package main

import (
	"crypto/rand"
	"strings"
	"testing"

	"overlayd/internal/lab/scenario"
	"overlayd/internal/member"
)

func TestAHostileNodeDoesWhatItCan(t *testing.T) {
	identity, err := member.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for does, can := range map[scenario.Mischief]bool{
		scenario.OpensCircuits: true, scenario.FloodsAddresses: true, scenario.Slanders: false, "": false,
	} {
		speech, often, err := hostileNode{does: string(does), others: []string{"198.51.100.1"}}.ways(identity)
		if (err == nil) != can || (speech != nil) != can || (often != nil) != can {
			t.Errorf("%q: %v", does, err)
		}
	}
	if _, _, err := (hostileNode{does: string(scenario.FloodsAddresses), others: []string{"x"}}).ways(identity); err == nil {
		t.Error("an address that is none is taken")
	}
}

func TestNobodyIsToldOfTheHostileNode(t *testing.T) {
	out, err := run(t, "--help")
	if err != nil || strings.Contains(out, "hostile-node") {
		t.Errorf("%v\n%s", err, out)
	}
}
