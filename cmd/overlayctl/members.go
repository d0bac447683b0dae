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

func newMembers(s *session) *cobra.Command {
	return lister[control.Member]{
		use: "members", short: "List the whole network, whether it can be reached now or not", field: "members",
		ask:   func(ctx context.Context) ([]control.Member, error) { return s.client.Members(ctx) },
		table: s.membersTable,
	}.command(s)
}

func (s *session) membersTable(members []control.Member, now time.Time) string {
	columns := []column{
		{title: "MEMBER"},
		{title: "STATE", style: stateStyle},
		{title: "ADDRESSES", list: true},
		{title: "ADMIN", drop: 2},
		{title: "RELAYS", drop: 6},
		{title: "SUBNETS", list: true, drop: 3},
		{title: "CARRIES", list: true, drop: 5},
		{title: "LABELS", list: true, drop: 4},
		{title: "GOOD FOR", right: true, drop: 7},
		{title: "ISSUER", drop: 8},
		{title: "VERSION", drop: 9},
		{title: "CONFLICT", drop: 1},
	}
	var rows [][]string
	var warnings []string
	for _, m := range members {
		warnings = append(warnings, m.Warning)
		rows = append(rows, []string{
			m.Name, string(m.State), join(m.Addresses, ", "), yes(m.Admin), relays(m.RelayPolicy, m.Ceiling),
			join(m.Subnets, ", "), join(m.Carries, ", "), labels(m.Labels),
			goodFor(now, m.Expires), m.Issuer, cmp.Or(m.Version, none), cmp.Or(m.Conflict, none),
		})
	}
	return s.screen.table(columns, rows) + warningText(warnings)
}

// warningText is what stands below a table of nodes: a line for each warning about one of them.
func warningText(warnings []string) string {
	var b strings.Builder
	for _, w := range warnings {
		if w != "" {
			b.WriteString("warning: " + clean(w) + "\n")
		}
	}
	return b.String()
}

// relays is a policy and its bound.
func relays(policy string, ceiling uint64) string {
	if ceiling == 0 {
		return cmp.Or(policy, none)
	}
	return fmt.Sprintf("%s, at most %s", policy, rate(ceiling))
}

// rate is bits a second in decimal units, as link speeds are given.
func rate(n uint64) string {
	value, unit := float64(n), ""
	for _, u := range []string{"k", "M", "G"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, u
	}
	return fmt.Sprintf("%.4g %sbit/s", value, unit)
}

func labels(l control.Labels) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(l)) {
		words = append(words, key+"="+l[key])
	}
	return cmp.Or(strings.Join(words, ", "), none)
}

// goodFor is how long a certificate lasts.
func goodFor(now, expires time.Time) string {
	switch {
	case expires.IsZero():
		return none
	case !expires.After(now):
		return "expired"
	default:
		return short(expires.Sub(now))
	}
}

// certificate is goodFor in a sentence.
func certificate(now, expires time.Time) string {
	if !expires.After(now) {
		return goodFor(now, expires)
	}
	return "good for " + goodFor(now, expires)
}
