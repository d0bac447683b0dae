package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"overlayd/internal/wire"
	"overlayd/pathselect"
)

func TestEveryAlgorithmCanBeConfigured(t *testing.T) {
	fs := pflag.NewFlagSet("up", pflag.ContinueOnError)
	Flags(fs)
	usage := fs.Lookup("select-algorithm").Usage
	for _, name := range pathselect.Names() {
		t.Run(name, func(t *testing.T) {
			args := []string{"--select-algorithm", name, "--select-shadow", name, "--select-classes", "bulk=" + name}
			c, _, err := load(t, args, nil, "")
			if err != nil {
				t.Fatal(err)
			}
			if s := c.Select; s.Algorithm != Algorithm(name) || s.Shadow != s.Algorithm || s.Classes[wire.Bulk] != s.Algorithm {
				t.Errorf("%+v", s)
			}
			if !slices.Contains(strings.FieldsFunc(usage, func(r rune) bool { return r == ' ' || r == '|' }), name) {
				t.Errorf("the help text %q does not list it", usage)
			}
			for _, flag := range []string{"select-algorithm", "select-shadow"} {
				if !slices.Contains(Choices()[flag], name) {
					t.Errorf("--%s is not completed with it", flag)
				}
			}
		})
	}
}

func TestAnUnknownAlgorithmIsAnError(t *testing.T) {
	const unknown = `unknown path-selection algorithm "best": use ` + "balanced, "
	for _, tt := range []struct{ flag, value, want string }{
		{"select-algorithm", "best", unknown},
		{"select-algorithm", "", `unknown path-selection algorithm "": use balanced, `},
		{"select-shadow", "best", unknown},
		{"select-classes", "bulk=best", unknown},
	} {
		_, _, err := load(t, []string{"--" + tt.flag, tt.value}, nil, "")
		if err == nil || !strings.Contains(err.Error(), "--"+tt.flag+": "+tt.want) {
			t.Errorf("--%s %q: %v", tt.flag, tt.value, err)
		}
	}
}
