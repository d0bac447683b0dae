package main

import (
	"bytes"
	"strings"
	"testing"

	"overlayd/config"
	"overlayd/pathselect"
)

func TestFlagsWithFewValuesAreCompleted(t *testing.T) {
	choices := config.Choices()
	if len(choices["select-algorithm"]) != len(pathselect.Names()) {
		t.Errorf("--select-algorithm is completed with %q", choices["select-algorithm"])
	}
	for flag, values := range choices {
		root, out := newRoot(), new(bytes.Buffer)
		root.SetOut(out)
		root.SetErr(out)
		root.SetArgs([]string{"__complete", "up", "--" + flag, ""})
		if err := root.Execute(); err != nil {
			t.Fatalf("--%s: %v", flag, err)
		}
		if got, want := out.String(), strings.Join(values, "\n")+"\n"; !strings.HasPrefix(got, want) {
			t.Errorf("--%s is completed with %q, want %q", flag, got, want)
		}
	}
}
