package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"overlayd/config"
	"overlayd/internal/cli"
	"overlayd/internal/control"
)

func newInvite(s *session) *cobra.Command {
	var r control.InviteRequest
	ttl := 24 * time.Hour
	var subnets []string
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print a token with which a node may join the network; list and cancel those that are good",
		Args:  args(0, 0, "no argument, or list, or cancel ID"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.TTL = control.Duration(ttl)
			if err := checkInvite(&r, subnets); err != nil {
				return err
			}
			token, err := s.client.Invite(cmd.Context(), r)
			if err != nil {
				return err
			}
			if s.json() {
				return s.screen.printJSON(map[string]string{"token": token}, false)
			}
			if err := s.screen.print(token + "\n"); err != nil {
				return err
			}
			if s.screen.terminal != nil {
				_, _ = fmt.Fprintf(s.stderr, "good %s, for %s: on the new node run `sudo overlayd join - --name %s` and paste it\n",
					times(r.Uses), cli.FormatDuration(ttl), cmp.Or(r.Name, "NODE"))
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Name, "name", "", "`name` that the newcomer must take (default: its own choice)")
	flags.Var((*cli.Duration)(&ttl), "ttl", "`time` that the token is good for, such as 12h or 7d")
	flags.StringVar(&r.Endpoint, "endpoint", "",
		"`host:port` where the newcomer finds this node, if that is not among its published endpoints")
	flags.IntVar(&r.Uses, "uses", 1, "`number` of nodes that may join with the token")
	flags.StringSliceVar(&subnets, "subnet", nil, "`network,…` that newcomers may advertise, such as 192.168.7.0/24")
	cmd.AddCommand(newInviteList(s), newInviteCancel(s))
	return cmd
}

// checkInvite completes a request and says what is wrong with it.
func checkInvite(r *control.InviteRequest, subnets []string) error {
	switch {
	case r.TTL <= 0:
		return cli.Usagef("--ttl %s is not a time that a token can live: take 24h", cli.FormatDuration(time.Duration(r.TTL)))
	case r.Endpoint != "" && !validEndpoint(r.Endpoint):
		return cli.Usagef("--endpoint %q is not HOST:PORT, such as belmont.example.org:51871", r.Endpoint)
	case r.Uses < 1 || r.Uses > control.MaxUses:
		return cli.Usagef("--uses %d is not a number of nodes that may join: take 1 to %d", r.Uses, control.MaxUses)
	case r.Uses > 1 && r.Name != "":
		return cli.Usagef("--uses %d does not go with --name: only one node can be called %s", r.Uses, r.Name)
	case len(subnets) > config.MaxSubnets:
		return cli.Usagef("--subnet is given %d times: a node advertises at most %d networks", len(subnets), config.MaxSubnets)
	}
	for _, text := range subnets {
		p, err := config.ParseSubnet(text)
		if err != nil {
			return cli.Usagef("--subnet: %w", err)
		}
		r.Subnets = append(r.Subnets, p)
	}
	return nil
}

func times(uses int) string {
	if uses == 1 {
		return "once"
	}
	return fmt.Sprintf("for %d nodes", uses)
}

func validEndpoint(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func newInviteList(s *session) *cobra.Command {
	return lister[control.Invite]{
		use: "list", short: "List the tokens that have not expired, used ones too, whoever made them", field: "invites",
		ask:   func(ctx context.Context) ([]control.Invite, error) { return s.client.Invites(ctx) },
		table: s.invitesTable,
		empty: "no token is good now: `overlayctl invite` makes one",
	}.command(s)
}

func (s *session) invitesTable(invites []control.Invite, now time.Time) string {
	columns := []column{
		{title: "ID"},
		{title: "NAME"},
		{title: "USED", right: true},
		{title: "GOOD FOR", right: true},
		{title: "BY"},
		{title: "SUBNETS"},
	}
	var rows [][]string
	for _, i := range invites {
		rows = append(rows, []string{
			i.ID, cmp.Or(i.Name, "any"), fmt.Sprintf("%d of %d", i.Used, i.Uses), lasts(i, now), i.By,
			join(i.Subnets, ", "),
		})
	}
	return s.screen.table(columns, rows)
}

// lasts is how long a token is good for: one that was used up is not, though it has not expired.
func lasts(i control.Invite, now time.Time) string {
	if i.Used >= i.Uses {
		return "used"
	}
	return short(i.Expires.Sub(now))
}

func newInviteCancel(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "Void a token; the first digits of its identifier will do",
		Args:  args(1, 1, "one identifier of `overlayctl invite list`"),
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := s.client.CancelInvite(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.done(fmt.Sprintf("the invitation %s is void: nobody joins with its token any more, "+
				"and who has joined stays until `overlayctl revoke NODE`", i.ID), i)
		},
	}
}
