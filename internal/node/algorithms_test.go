package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"overlayd/config"
	"overlayd/internal/control"
	"overlayd/internal/policy"
	"overlayd/internal/wire"
	"overlayd/pathselect"
)

func TestConfiguredAlgorithmsAreFoundOrAreAnError(t *testing.T) {
	for _, name := range pathselect.Names() {
		n := config.Algorithm(name)
		a, err := algorithmsOf(config.Select{Algorithm: n, Shadow: n, Classes: config.ClassAlgorithms{wire.Bulk: n}})
		if err != nil || a.usual.Name() != name || a.shadow.Name() != name || a.classes[wire.Bulk].Name() != name {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if a, err := algorithmsOf(config.Select{Algorithm: "loss"}); err != nil || a.shadow != nil || len(a.classes) != 0 {
		t.Errorf("without a shadow: %+v, %v", a, err)
	}
	for key, cfg := range map[string]config.Select{
		"select.algorithm": {Algorithm: "best"},
		"select.classes":   {Algorithm: "loss", Classes: config.ClassAlgorithms{wire.Bulk: "best"}},
		"select.shadow":    {Algorithm: "loss", Shadow: "best"},
	} {
		_, err := algorithmsOf(cfg)
		if !errors.Is(err, pathselect.ErrUnknown) || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestAStoredRuleForAnUnknownAlgorithmIsShown(t *testing.T) {
	stored := []policy.Rule{{ID: 4, Kind: policy.Algorithm, Algorithm: "best", At: time.Unix(1, 0)}}
	k := newCrowd(t, 1, CoreConfig{Rules: stored}, nil)
	if got := k.core.algorithm(k.ids(0)[0], wire.DefaultTraffic).Name(); got != pathselect.Default().Name() {
		t.Errorf("%s prices paths", got)
	}
	const want = `rule 4 has no effect: unknown path-selection algorithm "best": use balanced, `
	if all := k.core.warnings.all(); len(all) != 1 || !strings.HasPrefix(all[0], want) || !strings.HasSuffix(all[0], "overlayctl route remove 4") {
		t.Errorf("%q", all)
	}
	k.rule(control.RouteRequest{Kind: control.RouteAlgorithm, Algorithm: "latency"})
	if all := k.core.warnings.all(); len(all) != 0 {
		t.Errorf("after another rule took its place: %q", all)
	}
	if got := k.core.algorithm(k.ids(0)[0], wire.DefaultTraffic).Name(); got != "latency" {
		t.Errorf("%s prices paths", got)
	}
}
