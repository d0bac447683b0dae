package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"overlayd/config"
	"overlayd/internal/cli"
	"overlayd/internal/join"
	"overlayd/internal/member"
	"overlayd/internal/state"
	"overlayd/tunnel/osnet"
)

func newJoin() *cobra.Command {
	var name, path, file string
	var replace bool
	cmd := &cobra.Command{
		Use:   "join [TOKEN|-] --name NODE",
		Short: "Become a member of a network, by a token that overlayctl invite printed",
		Long: "Become a member of a network, by a token that overlayctl invite printed.\n\n" +
			"The token is a secret. It comes from a file (--token-file), from standard\n" +
			"input (-), or from the variable " + config.TokenVariable + ". As an argument, other users of\n" +
			"this host can see it, and the shell keeps it in its history.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return cli.Usagef("name this node with --name NODE")
			}
			if err := member.ValidName(name); err != nil {
				return cli.Usagef("--name %w", err)
			}
			text, err := tokenSource{args: args, file: file, variable: os.Getenv(config.TokenVariable), stdin: cmd.InOrStdin()}.read()
			if err != nil {
				return err
			}
			if _, err := join.ParseToken(text); err != nil {
				return err
			}
			dir, err := state.Open(path)
			if err != nil {
				return err
			}
			defer func() { _ = dir.Close() }()
			joined, err := enter(cmd.Context(), dir, state.Pending{Token: text, Name: name}, replace, cmd.ErrOrStderr())
			printNotices(dir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "joined the network %s; this node is %s, %s, %s\nstart it: overlayd up%s\n",
				joined.Network.Name, name, joined.Certificate.IPv4, joined.Certificate.IPv6, stateFlag(path))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`name` of this node, a DNS label")
	cmd.Flags().StringVar(&file, "token-file", "", "`file` that holds the token; - is standard input")
	cmd.Flags().BoolVar(&replace, "replace", false, "give up the network that this node is in, though it has other members; a backup is kept")
	addStateFlag(cmd.Flags(), &path)
	return cmd
}

// enter joins a network, in the place of a network of one, or, with replace, of any.
func enter(ctx context.Context, dir *state.Dir, p state.Pending, replace bool, stderr io.Writer) (join.Joined, error) {
	was, err := dir.Network()
	switch {
	case errors.Is(err, state.ErrAbsent):
	case err != nil:
		return join.Joined{}, err
	case !replace:
		if names, err := others(dir, was, time.Now()); err != nil || len(names) > 0 {
			return join.Joined{}, fmt.Errorf("this node is a member of the network %s already, with others: start it with overlayd up%[2]s, leave "+
				"that network with overlayctl leave, or give it up with --replace, which keeps a backup", was.Network.Name, stateFlag(dir.Path()))
		}
	}
	joined, err := joinNetwork(ctx, dir, p, was.Network != nil)
	if err != nil {
		return joined, err
	}
	if was.Network != nil {
		log, _ := logger(config.Log{Format: config.LogText}, stderr)
		log.Warn("this node was in the network "+was.Network.Name+" and is not any more: its keys and members are kept in a backup", "state", dir.Path())
	}
	if attached, err := osnet.Attached(""); err == nil {
		if list := member.Overlapping(joined.Network.Prefix, attached); len(list) > 0 {
			log, _ := logger(config.Log{Format: config.LogText}, stderr)
			log.Warn(overlapText(joined.Network.Prefix, list))
		}
	}
	return joined, nil
}

// completeJoin repeats a join that has not completed.
func (e entry) completeJoin(ctx context.Context, p state.Pending) error {
	e.log.Info("completing the join that overlayd join began", "node", p.Name)
	joined, err := joinNetwork(ctx, e.dir, p, false)
	switch {
	case err == nil:
	case canBeRepeated(err):
		return err
	case errors.As(err, new(join.VersionError)):
		return cli.Exit(cli.ExitConfig, fmt.Errorf("%w; then run overlayd join again", err))
	default:
		return cli.Exit(cli.ExitConfig, fmt.Errorf("%w; run overlayd join again with a new token", err))
	}
	if list := member.Overlapping(joined.Network.Prefix, e.attached); len(list) > 0 {
		e.log.Warn(overlapText(joined.Network.Prefix, list))
	}
	e.log.Info("joined", "network", joined.Network.Name, "node", p.Name, "ipv4", joined.Certificate.IPv4, "ipv6", joined.Certificate.IPv6)
	return nil
}

// joinNetwork joins and stores what comes of it. Until then the token is stored, so that up completes a join that was
// broken off, or found nobody; a join that was refused is forgotten. The file of the network is written last: broken
// off before, it can be repeated with the same token, since the keys are stored first.
func joinNetwork(ctx context.Context, dir *state.Dir, p state.Pending, instead bool) (join.Joined, error) {
	token, err := join.ParseToken(p.Token)
	if err != nil {
		return join.Joined{}, errors.Join(err, dir.RemovePending())
	}
	id, err := identity(dir)
	if err != nil {
		return join.Joined{}, err
	}
	if !instead { // a node that is in a network does not leave it by a join that fails
		if err := dir.SavePending(p); err != nil {
			return join.Joined{}, err
		}
	}
	joined, err := becomeMember(ctx, token, id, p.Name)
	switch {
	case err == nil:
	case instead:
		return joined, fmt.Errorf("%w; this node stays in its network", err)
	case canBeRepeated(err):
		return joined, fmt.Errorf("%w; overlayd up%s goes on with this join, and overlayd reset%[2]s forgets it", err, stateFlag(dir.Path()))
	default:
		return joined, errors.Join(err, dir.RemovePending())
	}
	if instead {
		if _, err := dir.Backup(time.Now()); err != nil {
			return joined, err
		}
		if err := dir.ForgetNetwork(); err != nil {
			return joined, err
		}
	}
	if err := dir.SaveItems(joined.Items); err != nil {
		return joined, err
	}
	err = dir.SaveNetwork(state.Membership{
		Network: joined.Network, Certificate: joined.Certificate.Raw(),
		Contact: state.Contact{Node: joined.Sponsor, Endpoint: joined.Reached}, Known: joined.Items,
	})
	if err != nil {
		return joined, err
	}
	return joined, dir.RemovePending()
}

// errNotNow is wrapped by what keeps a node from joining for now.
var errNotNow = errors.New("not joined")

// canBeRepeated reports whether the same join may work later.
func canBeRepeated(err error) bool {
	for _, temporary := range []error{errNotNow, join.ErrNobodyAnswered, join.ErrRefused, member.ErrExpired} {
		if errors.Is(err, temporary) {
			return true
		}
	}
	return false
}

// becomeMember asks the members that the token names to sign this node in.
func becomeMember(ctx context.Context, token join.Token, id member.Identity, name string) (join.Joined, error) {
	endpoints, err := resolve(ctx, token.Endpoints)
	if err != nil && time.Now().Before(token.Expiry.Add(member.InvitationGrace)) {
		return join.Joined{}, fmt.Errorf("%w: %w", errNotNow, err)
	}
	joiner, err := join.NewJoiner(time.Now(), token, endpoints, id, name, rand.Reader)
	if err != nil {
		return join.Joined{}, err
	}
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return join.Joined{}, fmt.Errorf("%w: open a UDP socket: %w", errNotNow, err)
	}
	defer func() { _ = conn.Close() }()
	return drive(ctx, joiner, conn)
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
			return join.Joined{}, fmt.Errorf("%w: wait for an answer: %w", errNotNow, err)
		}
		if ctx.Err() != nil {
			return join.Joined{}, fmt.Errorf("%w: the join was interrupted", errNotNow)
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
