// Package firewall is what a node asks of the host's packet filter: it keeps packets to the node's overlay addresses away
// that do not come out of the overlay, and finds out whether the host forwards for the networks behind the node.
//
// Linux accepts a packet to any of its addresses on every interface, so that somebody on the same LAN can probe which
// address a host has on the overlay, and which connections it has there (CVE-2019-14899). The rules against it stand in an
// nftables table of their own, before connection tracking:
//
//	in by lo or the overlay's interface ──▶ accept
//	to none of the overlay addresses    ──▶ accept
//	from a network behind this node, in by the interface that leads there ──▶ accept
//	                                    ──▶ drop, counted
package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Protect makes the rules for the interface what they have to be, in one step. Addresses are those of this node on the
// overlay, local the networks behind it. It acts in the network namespace of the calling thread.
func Protect(device string, addresses []netip.Addr, local []netip.Prefix) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := tableOf(device)
	conn.AddTable(table)
	conn.DelTable(table)
	conn.AddTable(table)
	policy := nftables.ChainPolicyAccept
	chain := conn.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityRaw, Policy: &policy,
	})
	add := func(parts ...[]expr.Any) {
		var all []expr.Any
		for _, p := range parts {
			all = append(all, p...)
		}
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: all})
	}
	accept := verdict(expr.VerdictAccept)
	add(inBy("lo"), accept)
	add(inBy(device), accept)
	for _, a := range addresses {
		for _, p := range local {
			if p.Addr().Is4() == a.Is4() {
				add(family(a), field(a, destination), equal(a.AsSlice()), within(p), byItsInterface(), accept)
			}
		}
		add(family(a), field(a, destination), equal(a.AsSlice()), []expr.Any{&expr.Counter{}}, verdict(expr.VerdictDrop))
	}
	return explain(conn.Flush())
}

// Remove takes the rules away. It does no harm if there are none.
func Remove(device string) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := tableOf(device)
	conn.AddTable(table) // or there is nothing to delete
	conn.DelTable(table)
	return explain(conn.Flush())
}

// Protected reports whether the rules are there: whoever loads the host's own rules anew may have removed them.
func Protected(device string) bool {
	conn, err := nftables.New()
	if err != nil {
		return false
	}
	_, err = conn.ListTableOfFamily(tableOf(device).Name, nftables.TableFamilyINet)
	return err == nil
}

func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("nftables needs CAP_NET_ADMIN (%w)", err)
	default:
		return fmt.Errorf("nftables is not available here, or lacks a part, such as fib: load the module nf_tables (%w)", err)
	}
}

func tableOf(device string) *nftables.Table {
	return &nftables.Table{Name: "overlayd-" + device, Family: nftables.TableFamilyINet}
}

// register is where expressions leave what the next one looks at.
const register = 1

func inBy(device string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return append([]expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}}, equal(name)...)
}

func family(a netip.Addr) []expr.Any {
	proto := byte(unix.NFPROTO_IPV4)
	if a.Is6() {
		proto = unix.NFPROTO_IPV6
	}
	return append([]expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}}, equal([]byte{proto})...)
}

// Where the addresses stand in the header.
type place struct{ four, six uint32 }

var (
	source      = place{12, 8}
	destination = place{16, 24}
)

func field(a netip.Addr, at place) []expr.Any {
	p := &expr.Payload{Base: expr.PayloadBaseNetworkHeader, DestRegister: register, Offset: at.four, Len: 4}
	if a.Is6() {
		p.Offset, p.Len = at.six, 16
	}
	return []expr.Any{p}
}

func within(p netip.Prefix) []expr.Any {
	size := uint32(p.Addr().BitLen() / 8)
	mask := make([]byte, size)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	list := append(field(p.Addr(), source), &expr.Bitwise{
		SourceRegister: register, DestRegister: register, Len: size, Mask: mask, Xor: make([]byte, size),
	})
	return append(list, equal(p.Masked().Addr().AsSlice())...)
}

// byItsInterface holds for packets that came in by the interface by which answers to their source would leave.
func byItsInterface() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: register, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, 0)},
	}
}

func equal(data []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }
