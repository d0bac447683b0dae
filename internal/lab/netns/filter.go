package netns

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Masquerade makes the namespace the router of a home or an office: what comes in elsewhere and leaves by the outside
// device takes that device's address; from outside only answers are let through. A stranger's packet is dropped before
// its connection is confirmed, so that it does not occupy the port that a later packet from inside should keep.
func (n *Namespace) Masquerade(outside string) error {
	if err := n.Sysctl("ipv4/ip_forward", "1"); err != nil {
		return err
	}
	conn, err := nftables.New(nftables.WithNetNSFd(int(n.handle)))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "masquerade"})
	nat := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: nat, Exprs: append(outInterface(outside), &expr.Masq{})})

	letAnswersIn(conn, table, outside)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("set up masquerading: %w", err)
	}
	return nil
}

// Firewall6 makes the namespace a router of IPv6 that lets only answers in by the outside device, and lies between
// networks of public addresses: nothing is translated.
func (n *Namespace) Firewall6(outside string) error {
	if err := n.Sysctl("ipv6/conf/all/forwarding", "1"); err != nil {
		return err
	}
	conn, err := nftables.New(nftables.WithNetNSFd(int(n.handle)))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	letAnswersIn(conn, conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv6, Name: "firewall"}), outside)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("set up the firewall: %w", err)
	}
	return nil
}

// letAnswersIn drops what comes in by the outside device and answers nothing.
func letAnswersIn(conn *nftables.Conn, table *nftables.Table, outside string) {
	drop := nftables.ChainPolicyDrop
	for name, hook := range map[string]*nftables.ChainHook{
		"input": nftables.ChainHookInput, "forward": nftables.ChainHookForward,
	} {
		chain := conn.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: hook, Priority: nftables.ChainPriorityFilter, Policy: &drop,
		})
		accept := &expr.Verdict{Kind: expr.VerdictAccept}
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(established(), accept)})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(notFrom(outside), accept)})
	}
}

// blockTable is the table that Lose makes and Unblock removes.
const blockTable = "block"

// Block makes the namespace drop everything that it forwards between two addresses, in both directions, until Unblock.
func (n *Namespace) Block(a, b netip.Addr) error {
	if err := n.Lose(a, b); err != nil {
		return err
	}
	return n.Lose(b, a)
}

// Lose makes the namespace drop everything that it forwards from one address to another, until Unblock.
func (n *Namespace) Lose(from, to netip.Addr) error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(n.handle)))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: blockTable})
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	exprs := append(fromTo(from, to), &expr.Verdict{Kind: expr.VerdictDrop})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("lose what %v sends to %v: %w", from, to, err)
	}
	return nil
}

// Unblock undoes every Block and Lose.
func (n *Namespace) Unblock() error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(n.handle)))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	conn.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: blockTable})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("unblock: %w", err)
	}
	return nil
}

// interfaceName is a device name as nftables compares it: padded to 16 bytes.
func interfaceName(device string) []byte {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return name
}

func outInterface(device string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: interfaceName(device)},
	}
}

func notFrom(device string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: interfaceName(device)},
	}
}

func established() []expr.Any {
	wanted := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: wanted, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// fromTo matches the source and the destination of an IPv4 header.
func fromTo(src, dst netip.Addr) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: src.AsSlice()},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: dst.AsSlice()},
	}
}
