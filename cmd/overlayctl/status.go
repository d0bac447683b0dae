package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/control"
)

func newStatus(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Describe this node and its network",
		Args:  args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := s.client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if s.json() {
				return s.screen.printJSON(status, false)
			}
			return s.screen.print(s.statusText(status))
		},
	}
}

func (s *session) statusText(v control.Status) string {
	names := make([]string, len(v.Members))
	for i, m := range v.Members {
		names[i] = m.Name
	}
	uptime := time.Duration(v.Uptime * float64(time.Second))
	rows := [][2]string{
		{"node", fmt.Sprintf("%s (%s)", v.Node, v.ID)},
		{"network", fmt.Sprintf("%s (%s)", v.Network, v.NetworkID)},
		{"addresses", join(v.Addresses, ", ")},
		{"interface", fmt.Sprintf("%s, MTU %d", v.Interface, v.MTU)},
		{"listen", v.Listen.String()},
		{"endpoints", join(v.Endpoints, ", ")},
		{"members", fmt.Sprintf("%d: %s", len(names), strings.Join(names, ", "))},
		{"admin", yes(v.Admin)},
		{"root key", yes(v.Root)},
		{"relay", relays(v.Relay, v.Ceiling)},
		{"subnets", join(v.Subnets, ", ")},
		{"labels", labels(v.Labels)},
		{"certificate", certificate(v.Started.Add(uptime), v.Expires)},
		{"digest", cmp.Or(v.Digest, none)},
		{"version", v.Version},
		{"up", short(uptime)},
	}
	if v.Unstored != "" {
		rows = append(rows, [2]string{"state", v.Unstored})
	}
	for _, conflict := range v.Conflicts {
		rows = append(rows, [2]string{"conflict", conflict})
	}
	for _, warning := range v.Warnings {
		rows = append(rows, [2]string{"warning", warning})
	}
	for _, name := range slices.Sorted(maps.Keys(v.Counters)) {
		if n := v.Counters[name]; n != 0 {
			rows = append(rows, [2]string{name, fmt.Sprint(n)})
		}
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%-*s  %s\n", width, clean(r[0]), s.screen.fold(clean(r[1]), width+columnGap))
	}
	return b.String()
}

func newPeers(s *session) *cobra.Command {
	return lister[control.Peer]{
		use: "peers", short: "List the other members of the network", field: "peers",
		ask:   func(ctx context.Context) ([]control.Peer, error) { return s.client.Peers(ctx) },
		table: s.peersTable,
		empty: "no peers yet: `overlayctl invite` prints a token for the next node",
	}.command(s)
}

func (s *session) peersTable(peers []control.Peer, now time.Time) string {
	columns := []column{
		{title: "PEER"},
		{title: "STATE", style: stateStyle},
		{title: "ADDRESSES", list: true},
		{title: "HEARD", right: true, drop: 2},
		{title: "HANDSHAKE", right: true, drop: 6},
		{title: "RX", right: true, drop: 3},
		{title: "TX", right: true, drop: 4},
		{title: "RELAYS", drop: 5},
		{title: "ENDPOINTS", list: true, drop: 1},
	}
	var rows [][]string
	for _, p := range peers {
		rows = append(rows, []string{
			p.Name, string(p.State), join(p.Addresses, ", "), age(now, p.LastHeard), age(now, p.Handshake),
			size(p.RxBytes), size(p.TxBytes), yes(p.Relay), join(p.Endpoints, ", "),
		})
	}
	return s.screen.table(columns, rows)
}
