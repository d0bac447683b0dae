package main

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
	"overlayd/internal/control"
)

func newInvite(s *session) *cobra.Command {
	var r control.InviteRequest
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print a token with which one node may join the network",
		Args:  args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ttl <= 0 {
				return cli.Usagef("--ttl %v is not a time that a token can live: take 24h", ttl)
			}
			if r.Endpoint != "" && !validEndpoint(r.Endpoint) {
				return cli.Usagef("--endpoint %q is not HOST:PORT, such as belmont.example.org:51871", r.Endpoint)
			}
			r.TTL = control.Duration(ttl)
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
				_, _ = fmt.Fprintf(s.stderr, "good once, for %v: on the new node run `sudo overlayd join TOKEN --name %s`\n",
					ttl, cmp.Or(r.Name, "NODE"))
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Name, "name", "", "`name` that the newcomer must take (default: its own choice)")
	flags.DurationVar(&ttl, "ttl", 24*time.Hour, "`time` that the token is good for")
	flags.StringVar(&r.Endpoint, "endpoint", "",
		"`host:port` where the newcomer finds this node, if that is not among its published endpoints")
	return cmd
}

func validEndpoint(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
