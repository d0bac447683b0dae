package state

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/blake2s"
)

// file is one kind of file in the directory.
type file struct {
	name string
	copy bool   // NAME.copy has the same content, and is written after the file
	free bool   // if no good copy is left it is moved aside, and the node goes on without it
	help string // what to do if no good copy is left, or what is lost
}

const newIdentity = "restore it from a backup, or give this node a new identity with overlayd reset and then overlayd join with a new token"

// help is only shown where the copy is damaged as well.
var (
	identityFile = file{name: "identity", copy: true, help: newIdentity}
	// A copy of the root key would stay behind where a person removes the file to be rid of the key.
	rootFile = file{name: "root", help: "restore it from a backup, or remove it to go on without the right to " +
		"sign admins"}
	networkFile = file{name: "network", copy: true, help: newIdentity}
	policyFile  = file{name: "policy", copy: true, help: "restore it from a backup, or remove it and policy.copy to go on " +
		"without the rules that `overlayctl route` made"}
	recordsFile = file{name: "records", copy: true, free: true, help: "this node learns the members, and who was revoked, from the others"}
	epochFile   = file{name: "epoch", copy: true, free: true, help: "the clock of this machine takes its place"}
	pendingFile = file{name: "pending", free: true, help: "the join that did not complete is forgotten: run overlayd join again"}

	files = []file{identityFile, rootFile, networkFile, policyFile, recordsFile, epochFile, pendingFile}
)

const (
	maxFile     = 16 << 20 // bytes; MaxMembers records have about 5 MB
	checksumLen = blake2s.Size
)

// copyName is the name of the copy beside the file.
func (f file) copyName() string { return f.name + ".copy" }

// damagedName reports whether a name is that of a damaged version of the file that was moved aside.
func (f file) damagedName(name string) bool {
	return strings.HasPrefix(name, f.name+damagedMark) || strings.HasPrefix(name, f.copyName()+damagedMark)
}

func (f file) header() []byte { return fmt.Appendf(nil, "overlayd state 1 %s\n", f.name) }

// pack is the content of the file for a value.
func (f file) pack(v any) ([]byte, error) {
	body, err := cbor.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.name, err)
	}
	b := append(f.header(), body...)
	sum := blake2s.Sum256(b)
	return append(b, sum[:]...), nil
}

// unpack reads what pack wrote; whatever else it finds is ErrDamaged.
func (f file) unpack(b []byte, v any) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: empty", ErrDamaged)
	}
	if len(b) < checksumLen {
		return fmt.Errorf("%w: too short", ErrDamaged)
	}
	b, sum := b[:len(b)-checksumLen], b[len(b)-checksumLen:]
	if want := blake2s.Sum256(b); !bytes.Equal(want[:], sum) {
		return fmt.Errorf("%w: wrong checksum", ErrDamaged)
	}
	body, ok := bytes.CutPrefix(b, f.header())
	if !ok {
		return fmt.Errorf("%w: not of this version of overlayd", ErrDamaged)
	}
	if err := cbor.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// refusal is an error that only a person can put right; its sentence says how.
type refusal struct{ error }

func (refusal) Is(target error) bool { return target == ErrUnusable }
func (r refusal) Unwrap() error      { return r.error }

// Refuse makes an error one that only a person can put right: ErrUnusable. Its sentence says how.
func Refuse(err error) error { return refusal{err} }

// unusable is the refusal of a file of which no good copy is left.
func (d *Dir) unusable(f file, err error) error {
	return refusal{fmt.Errorf("the file %s is not usable (%w): %s", d.pathOf(f.name), err, f.help)}
}
