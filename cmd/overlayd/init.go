package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
	"overlayd/internal/member"
	"overlayd/internal/state"
	"overlayd/tunnel/osnet"
)

// defaultNetwork is the name of a network whose founder gave none.
const defaultNetwork = "overlay"

func newInit() *cobra.Command {
	var name, network, prefix, path string
	cmd := &cobra.Command{
		Use:   "init --name NODE",
		Short: "Make a new network with this node as its first",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := newFounding(name, network, prefix)
			if err != nil {
				return cli.Usage(err)
			}
			dir, err := state.Open(path)
			if err != nil {
				return err
			}
			defer func() { _ = dir.Close() }()
			if err := noNetwork(dir); err != nil {
				return err
			}
			if attached, err := osnet.Attached(""); err == nil {
				if err := outside(f.prefix, attached); err != nil {
					return err
				}
			}
			cert, err := found(dir, f, time.Now())
			printNotices(dir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "made the network %s; this node is %s, %s, %s\nstart it: overlayd up%s\n",
				f.network, cert.Name, cert.IPv4, cert.IPv6, stateFlag(path))
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`name` of this node, a DNS label")
	cmd.Flags().StringVar(&network, "network", defaultNetwork, "`name` of the network")
	cmd.Flags().StringVar(&prefix, "prefix", member.DefaultPrefix, "`CIDR`: the IPv4 addresses of the network")
	addStateFlag(cmd.Flags(), &path)
	return cmd
}

// founding is what a new network is to be; newFounding checks it.
type founding struct {
	node, network string
	prefix        netip.Prefix
}

func newFounding(node, network, prefix string) (founding, error) {
	if node == "" {
		return founding{}, fmt.Errorf("name this node with --name NODE")
	}
	if err := member.ValidName(node); err != nil {
		return founding{}, fmt.Errorf("--name %w", err)
	}
	if err := member.ValidName(network); err != nil {
		return founding{}, fmt.Errorf("--network %w", err)
	}
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return founding{}, fmt.Errorf("--prefix %q is not an IPv4 prefix such as %s", prefix, member.DefaultPrefix)
	}
	if err := member.ValidPrefix(p); err != nil {
		return founding{}, fmt.Errorf("--prefix: %w", err)
	}
	return founding{node: node, network: network, prefix: p}, nil
}

// found makes a network in a state directory that has none: root key, this node's keys and certificate. The file of the
// network is written last: broken off before, found can be repeated.
func found(dir *state.Dir, f founding, now time.Time) (*member.Certificate, error) {
	if err := noNetwork(dir); err != nil {
		return nil, err
	}
	id, err := identity(dir)
	if err != nil {
		return nil, err
	}
	root, err := orCreate(dir.RootKey, dir.CreateRootKey, newRootKey)
	if err != nil {
		return nil, err
	}
	network, err := member.NewNetwork(root, f.network, f.prefix, now)
	if err != nil {
		return nil, err
	}
	cert, err := member.Found(root, network, id, f.node, now)
	if err != nil {
		return nil, err
	}
	record, err := member.SignRecord(id, cert, uint64(now.UnixMicro()), member.Statement{})
	if err != nil {
		return nil, err
	}
	if err := dir.SaveItems([][]byte{member.Item{Kind: member.KindRecord, Raw: record.Raw()}.Stored()}); err != nil {
		return nil, err
	}
	return cert, dir.SaveNetwork(state.Membership{Network: network, Certificate: cert.Raw()})
}
