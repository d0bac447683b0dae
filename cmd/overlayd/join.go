package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
	"overlayd/internal/join"
	"overlayd/internal/member"
	"overlayd/internal/state"
)

func newJoin() *cobra.Command {
	var name, path string
	cmd := &cobra.Command{
		Use:   "join TOKEN --name NODE",
		Short: "Become a member of a network, by a token that overlayctl invite printed",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usagef("overlayd join takes one token, and was given %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return cli.Usagef("name this node with --name NODE")
			}
			if err := member.ValidName(name); err != nil {
				return cli.Usagef("--name %w", err)
			}
			token, err := join.ParseToken(args[0])
			if err != nil {
				return err
			}
			dir, err := state.Open(path)
			if err != nil {
				return err
			}
			defer func() { _ = dir.Close() }()
			joined, err := becomeMember(cmd.Context(), dir, token, name)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "joined the network %s; this node is %s, %s, %s\nstart it: overlayd up%s\n",
				joined.Network.Name, name, joined.Certificate.IPv4, joined.Certificate.IPv6, stateFlag(path))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of this node, a DNS label")
	addStateFlag(cmd.Flags(), &path)
	return cmd
}

// becomeMember joins and stores what comes of it, the file of the network last: broken off before, it can be
// repeated with the same token, since the keys are stored first.
func becomeMember(ctx context.Context, dir *state.Dir, token join.Token, name string) (join.Joined, error) {
	if err := noNetwork(dir); err != nil {
		return join.Joined{}, err
	}
	id, err := identity(dir)
	if err != nil {
		return join.Joined{}, err
	}
	endpoints, err := resolve(ctx, token.Endpoints)
	if err != nil {
		return join.Joined{}, err
	}
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return join.Joined{}, fmt.Errorf("open a UDP socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	joiner, err := join.NewJoiner(time.Now(), token, endpoints, id, name, rand.Reader)
	if err != nil {
		return join.Joined{}, err
	}
	joined, err := drive(ctx, joiner, conn)
	if err != nil {
		return join.Joined{}, err
	}
	if err := dir.SaveItems(joined.Items); err != nil {
		return join.Joined{}, err
	}
	return joined, dir.SaveNetwork(state.Membership{
		Network: joined.Network, Certificate: joined.Certificate.Raw(),
		Contact: state.Contact{Node: joined.Sponsor, Endpoint: joined.Reached},
	})
}

// resolve finds the addresses of the token's endpoints; it is enough if one has any.
func resolve(ctx context.Context, endpoints []string) ([]netip.AddrPort, error) {
	var found []netip.AddrPort
	var failed []string
	for _, e := range endpoints {
		host, portText, err := net.SplitHostPort(e)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", e, err)
		}
		port, err := strconv.ParseUint(portText, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", e, err)
		}
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			failed = append(failed, e)
		}
		for _, a := range addrs[:min(len(addrs), maxAddresses)] {
			found = append(found, netip.AddrPortFrom(a.Unmap(), uint16(port)))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no address is found for the members that the token names, %s: check this machine's DNS",
			strings.Join(failed, ", "))
	}
	return found, nil
}

// maxAddresses bounds the addresses that are tried of one host.
const maxAddresses = 4

// drive runs the join over a socket until it ends.
func drive(ctx context.Context, j *join.Joiner, conn *net.UDPConn) (join.Joined, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, 2048)
	for {
		for _, out := range j.Drain(nil) {
			switch out := out.(type) {
			case join.Transmit:
				_, _ = conn.WriteToUDPAddrPort(out.Frame, out.To) // an endpoint out of reach is one of several
			case join.Joined:
				return out, nil
			case join.Failed:
				return join.Joined{}, out.Err
			}
		}
		at, _ := j.NextDeadline()
		if err := conn.SetReadDeadline(at); err != nil {
			return join.Joined{}, fmt.Errorf("wait for an answer: %w", err)
		}
		if ctx.Err() != nil {
			return join.Joined{}, errors.New("joining was interrupted: the same command can be given again")
		}
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		var in join.Input = join.Heard{From: from, Frame: buf[:n]}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			in = join.Tick{}
		} else if err != nil {
			continue // an ICMP error of one endpoint
		}
		_ = j.Step(time.Now(), in) // a datagram that is no answer changes nothing
	}
}
