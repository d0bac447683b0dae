package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
	"overlayd/internal/control"
	"overlayd/pathselect"
)

func newRoute(s *session) *cobra.Command {
	return group("route", "Say which ways packets should go, and which not",
		"pin, avoid, prefer, never, cost, hops, algorithm, list or remove",
		newRoutePin(s),
		newRouteRelays(s, control.RouteAvoid, "avoid", "Use relays only where all else is much worse"),
		newRouteRelays(s, control.RoutePrefer, "prefer", "Use relays even where others are a little better"),
		newRouteRelays(s, control.RouteNever, "never", "Send nothing through relays"),
		newRouteCost(s), newRouteHops(s), newRouteAlgorithm(s), newRouteList(s), newRouteRemove(s))
}

// ruler makes rules: what the commands that do so have in common.
type ruler struct {
	*session
	request  control.RouteRequest
	lifetime time.Duration
	cmd      *cobra.Command
}

// newRuler is a command whose arguments read fills the request in.
func newRuler(s *session, kind control.RouteKind, use, short string, positional cobra.PositionalArgs, read func(r *ruler, args []string) error) *ruler {
	r := &ruler{session: s, request: control.RouteRequest{Kind: kind}}
	r.cmd = &cobra.Command{
		Use:   use,
		Short: short,
		Args:  positional,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("for") && r.lifetime <= 0 {
				return cli.Usagef("--for %s is not a time that a rule can last: take 1h", cli.FormatDuration(r.lifetime))
			}
			r.request.For = control.Duration(r.lifetime)
			if err := read(r, args); err != nil {
				return err
			}
			return r.make(cmd.Context())
		},
	}
	flags := r.cmd.Flags()
	flags.Var((*cli.Duration)(&r.lifetime), "for", "`time` after which the rule ends by itself, such as 1h; without it, never")
	flags.StringVar(&r.request.Note, "note", "", "`text` to remember why")
	return r
}

func (r *ruler) forPeer() *ruler {
	r.cmd.Flags().StringVar(&r.request.Peer, "peer", "", "only on the way to this `peer`; without it, to all")
	return r
}

func (r *ruler) mayBeStrict() *ruler {
	r.cmd.Flags().BoolVar(&r.request.Strict, "strict", false, "even where this cuts the peer off")
	return r
}

// make asks for the rules and says what came of it.
func (r *ruler) make(ctx context.Context) error {
	result, err := r.client.AddRoute(ctx, r.request)
	if err != nil {
		return err
	}
	var made, ids []string
	for _, rule := range result.Routes {
		made = append(made, fmt.Sprintf("%s (rule %d)", rule.What, rule.ID))
		ids = append(ids, fmt.Sprint(rule.ID))
	}
	text := cmp.Or(r.request.Peer, "all peers") + ": " + strings.Join(made, ", ")
	if r.lifetime > 0 {
		text += " for " + short(r.lifetime)
	}
	if len(result.Replaced) > 0 {
		text += ", in the place of " + numbered(result.Replaced)
	}
	if bars(r.request.Kind) && !r.request.Strict {
		text += "; what this bars is still used where nothing else works"
	}
	return r.done(text+"; `overlayctl route remove "+strings.Join(ids, " ")+"` ends that", result)
}

// bars reports whether a rule forbids paths.
func bars(k control.RouteKind) bool {
	return k == control.RoutePin || k == control.RouteNever || k == control.RouteHops
}

// numbered are rules by their numbers.
func numbered(rules []control.Route) string {
	words := make([]string, len(rules))
	for i, r := range rules {
		words[i] = fmt.Sprint(r.ID)
	}
	if len(words) == 1 {
		return "rule " + words[0]
	}
	return "rules " + strings.Join(words, ", ")
}

func newRoutePin(s *session) *cobra.Command {
	var via string
	var straight bool
	r := newRuler(s, control.RoutePin, "pin PEER --via RELAY[,RELAY…] | --direct", "Send packets to a peer through these relays, or through none",
		args(1, 1, "one peer"), func(r *ruler, args []string) error {
			if (via != "") == straight {
				return cli.Usagef("say which way: either --via with relays in order, or --direct")
			}
			r.request.Peer = args[0]
			r.request.Relays = nil
			if straight {
				return nil
			}
			relays, err := parseVia(via)
			r.request.Relays = relays
			return err
		}).mayBeStrict()
	r.cmd.Flags().StringVar(&via, "via", "", "`relays` to go through, in order and with commas, or the word direct")
	r.cmd.Flags().BoolVar(&straight, "direct", false, "go through no relay")
	return r.cmd
}

func newRouteRelays(s *session, kind control.RouteKind, verb, short string) *cobra.Command {
	const most = 32 // more than anybody types
	r := newRuler(s, kind, verb+" RELAY…", short, args(1, most, "one relay or several"), func(r *ruler, args []string) error {
		r.request.Relays = args
		return nil
	}).forPeer()
	if bars(kind) {
		r.mayBeStrict()
	}
	return r.cmd
}

func newRouteCost(s *session) *cobra.Command {
	var uplink string
	r := newRuler(s, control.RouteCost, "cost RELAY MS | --uplink NAME MS", "Make a relay or an uplink so many milliseconds dearer",
		args(1, 2, "a relay and milliseconds, or milliseconds and --uplink"), func(r *ruler, args []string) error {
			if (uplink != "") == (len(args) == 2) {
				return cli.Usagef("say what costs more: either `overlayctl route cost RELAY MS`, or `overlayctl route cost --uplink NAME MS`")
			}
			r.request.Uplink, r.request.Relays = uplink, slices.Clone(args[:len(args)-1])
			text := args[len(args)-1]
			ms, err := strconv.ParseFloat(strings.TrimSuffix(text, "ms"), 64)
			if err != nil {
				return cli.Usagef("%q is no number of milliseconds, such as 20", text)
			}
			r.request.Cost = control.Millis(ms)
			return nil
		}).forPeer()
	r.cmd.Flags().StringVar(&uplink, "uplink", "", "`name` of a network interface of this node")
	return r.cmd
}

func newRouteHops(s *session) *cobra.Command {
	return newRuler(s, control.RouteHops, "hops N", "Bound the hops of a path: 1 is direct, 2 one relay",
		args(1, 1, "a number of hops"), func(r *ruler, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil {
				return cli.Usagef("%q is no number of hops, such as 2", args[0])
			}
			r.request.Hops = n
			return nil
		}).forPeer().mayBeStrict().cmd
}

func newRouteAlgorithm(s *session) *cobra.Command {
	r := newRuler(s, control.RouteAlgorithm, "algorithm NAME", "Choose the path-selection algorithm",
		args(1, 1, "one algorithm"), func(r *ruler, args []string) error {
			r.request.Algorithm = args[0]
			return nil
		}).forPeer()
	r.cmd.Long = r.cmd.Short + ", one of:\n\n" + algorithmTable()
	r.cmd.ValidArgs = pathselect.Names()
	r.cmd.Flags().StringVar(&r.request.Class, "class", "", "only for this `class` of traffic: default, bulk, interactive or critical")
	return r.cmd
}

// algorithmTable lists the algorithms, each with what it prefers.
func algorithmTable() string {
	var b strings.Builder
	for _, a := range pathselect.All() {
		fmt.Fprintf(&b, "  %-12s %s\n", a.Name(), a.Summary())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func newRouteList(s *session) *cobra.Command {
	return lister[control.Route]{
		use: "list", short: "List the rules for paths", field: "routes",
		ask:   func(ctx context.Context) ([]control.Route, error) { return s.client.Routes(ctx) },
		table: s.routesTable,
		empty: "no rule holds: `overlayctl route pin PEER --via RELAY` makes one",
	}.command(s)
}

func (s *session) routesTable(routes []control.Route, now time.Time) string {
	columns := []column{
		{title: "ID", right: true},
		{title: "PEER"},
		{title: "RULE"},
		{title: "BY"},
		{title: "AGE", right: true},
		{title: "LEFT", right: true},
		{title: "NOTE"},
	}
	var rows [][]string
	for _, r := range routes {
		left := none
		if !r.Expires.IsZero() {
			left = short(r.Expires.Sub(now))
		}
		var notes []string
		if r.Note != "" {
			notes = append(notes, r.Note)
		}
		for _, name := range r.Strangers {
			notes = append(notes, name+" is no member")
		}
		rows = append(rows, []string{
			fmt.Sprint(r.ID), cmp.Or(r.Peer, "all"), r.What, cmp.Or(r.By, none), age(now, r.Created), left,
			cmp.Or(strings.Join(notes, "; "), none),
		})
	}
	return s.screen.table(columns, rows)
}

func newRouteRemove(s *session) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "remove ID… | --all",
		Short: "End rules for paths",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return cli.Usagef("say which rules: either their numbers, which `overlayctl route list` shows, or --all")
			}
			r := control.RouteRemoval{All: all}
			for _, text := range args {
				id, err := strconv.ParseUint(text, 10, 32)
				if err != nil {
					return cli.Usagef("%q is no number of a rule: `overlayctl route list` shows them", text)
				}
				r.IDs = append(r.IDs, uint32(id))
			}
			removed, err := s.client.RemoveRoute(cmd.Context(), r)
			if err != nil {
				return err
			}
			text := "no rule holds any more: paths are chosen by what is measured of them"
			if !all {
				verb := "has ended"
				if len(removed) != 1 {
					verb = "have ended"
				}
				text = numbered(removed) + " " + verb + ": `overlayctl route list` shows what still holds"
			}
			return s.done(text, map[string]control.List[control.Route]{"routes": removed})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	return cmd
}
