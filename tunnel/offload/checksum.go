package offload

import (
	"encoding/binary"
	"math/bits"
)

// sum adds up b as RFC 1071 does, in words of 64 bits and in the byte order of the machine: one's complement addition
// does not care as long as the result is stored in the same order. What is added to it must begin at an even offset.
func sum(b []byte, acc uint64) uint64 {
	var carry uint64
	for len(b) >= 64 {
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b), 0)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[8:]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[16:]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[24:]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[32:]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[40:]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[48:]), carry)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b[56:]), carry)
		acc = addOnes(acc, carry)
		b = b[64:]
	}
	for len(b) >= 8 {
		acc = addOnes(acc, binary.NativeEndian.Uint64(b))
		b = b[8:]
	}
	if len(b) > 0 {
		var rest [8]byte
		copy(rest[:], b)
		acc = addOnes(acc, binary.NativeEndian.Uint64(rest[:]))
	}
	return acc
}

// addOnes is addition in one's complement.
func addOnes(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	return s + carry
}

// fold reduces a sum to 16 bits, still in the byte order of the machine.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}

// pseudoSum is the sum of the pseudo-header: both addresses, protocol, length of header and payload.
func pseudoSum(addresses []byte, protocol uint8, length int) uint64 {
	var rest [8]byte
	binary.BigEndian.PutUint32(rest[:], uint32(length))
	rest[7] = protocol
	return sum(rest[:], sum(addresses, 0))
}

// storeChecksum stores the complement of a sum.
func storeChecksum(b []byte, acc uint64) { binary.NativeEndian.PutUint16(b, ^fold(acc)) }
