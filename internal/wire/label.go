package wire

import (
	"encoding/binary"
	"fmt"
)

// Label stands for a circuit on one hop of it: 56 random bits, drawn by the node that will receive them. Zero is none.
type Label uint64

// LabelHeaderLen is the length in bytes of what a label puts in front of a frame:
//
//	 0        1                                             8
//	+--------+----------------------------------------------+------
//	|  0x4C  |  label, 56 bits, big-endian                  | frame …
//	+--------+----------------------------------------------+------
//
// The frame is of class WireGuard or control.
const LabelHeaderLen = 8

// MaxLabel is the largest label.
const MaxLabel Label = 1<<56 - 1

// String is the label in 14 hexadecimal digits.
func (l Label) String() string { return fmt.Sprintf("%014x", uint64(l)) }

// PutLabel writes the header of a label frame into the first LabelHeaderLen bytes of b, which must be that long.
func PutLabel(b []byte, l Label) {
	binary.BigEndian.PutUint64(b, uint64(firstLabel)<<56|uint64(l))
}

// PeekLabel reads the label of a frame of class label, which Classify has found long enough. The frame that it carries
// is b[LabelHeaderLen:].
func PeekLabel(b []byte) Label {
	return Label(binary.BigEndian.Uint64(b)) & MaxLabel
}
