package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"overlayd/config"
	"overlayd/internal/cli"
	"overlayd/internal/control"
)

// What a right is followed by on the command line.
const grantOrWithdraw = "grant or withdraw"

func newAdmin(s *session) *cobra.Command {
	set := func(grant bool, sentence string) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			if err := s.client.SetAdmin(cmd.Context(), control.AdminRequest{Node: args[0], Grant: grant}); err != nil {
				return err
			}
			return s.done(fmt.Sprintf(sentence, args[0]), nil)
		}
	}
	return group("admin", "Say who may invite and revoke; needs the root key", grantOrWithdraw,
		&cobra.Command{
			Use:   "grant NODE",
			Short: "Make a node an admin",
			Args:  args(1, 1, "one node"),
			RunE: set(true, "%[1]s is an admin, and may invite and revoke as soon as it hears of it: "+
				"`overlayctl admin withdraw %[1]s` takes that back"),
		},
		&cobra.Command{
			Use:   "withdraw NODE",
			Short: "Make a node an ordinary one",
			Args:  args(1, 1, "one node"),
			RunE: set(false, "%[1]s is no admin any more, and what it signed stays good: "+
				"`overlayctl revoke %[1]s --annul` would void that and put it out"),
		})
}

func newSubnet(s *session) *cobra.Command {
	set := func(grant bool, sentence string) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			p, err := config.ParseSubnet(args[1])
			if err != nil {
				return cli.Usage(err)
			}
			r := control.SubnetRequest{Node: args[0], Subnet: p, Grant: grant}
			if err := s.client.SetSubnet(cmd.Context(), r); err != nil {
				return err
			}
			return s.done(fmt.Sprintf(sentence, args[0], p), nil)
		}
	}
	return group("subnet", "Say which networks behind it a node may advertise", grantOrWithdraw,
		&cobra.Command{
			Use:   "grant NODE CIDR",
			Short: "Let a node advertise a network behind it",
			Args:  args(2, 2, "a node and a network"),
			RunE: set(true, "%[1]s may advertise %[2]v as soon as it hears of it: "+
				"there it is named with `overlayd up --subnets %[2]v` or in the configuration"),
		},
		&cobra.Command{
			Use:   "withdraw NODE CIDR",
			Short: "Let a node advertise a network no more",
			Args:  args(2, 2, "a node and a network"),
			RunE: set(false, "%[1]s may advertise %[2]v no more: the others send nothing for it there as they hear of it; "+
				"`overlayctl members` shows who carries it now"),
		})
}
