package wire

import "encoding/binary"

// SizeTest finds out whether a path carries frames of a size. The peer answers it with the token alone, on any path.
//
//	 0        8
//	+--------+-------------------------+
//	| token  | zeros, in a test only   |
//	+--------+-------------------------+
type SizeTest struct {
	Token uint64 // unpredictable: who answers must have received it
}

// Append appends the body of an answer to b.
func (t SizeTest) Append(b []byte) []byte { return binary.BigEndian.AppendUint64(b, t.Token) }

// AppendPadded appends the body of a test to b, as long as makes the whole frame size bytes. Sizes are bounded by
// MaxSizeTest, and below by what a frame without padding takes.
func (t SizeTest) AppendPadded(b []byte, size int) []byte {
	b = t.Append(b)
	pad := min(size, MaxSizeTest) - controlOverhead - sizeTestLen
	return append(b, make([]byte, max(pad, 0))...)
}

const sizeTestLen = 8

// ParseSizeTest reads the body of a KindSizeTest or KindSizeTested frame. What the padding holds does not matter.
func ParseSizeTest(b []byte) (SizeTest, error) {
	if len(b) < sizeTestLen {
		return SizeTest{}, ErrMalformed
	}
	return SizeTest{Token: binary.BigEndian.Uint64(b)}, nil
}
