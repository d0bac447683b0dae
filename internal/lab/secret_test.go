package lab

import "testing"

func TestSecretIsFoundWhereItIs(t *testing.T) {
	s := newSecret(1)
	if n := s.count(s.text[100:140]); n != 40-pieceLen+1 {
		t.Errorf("%d pieces in 40 bytes of the text", n)
	}
	round := append(append([]byte{}, s.text[len(s.text)-8:]...), s.text[:8]...)
	if n := s.count(round); n != 1 {
		t.Errorf("%d pieces where the text begins again", n)
	}
	if n := s.count([]byte("the quick brown fox jumps over the lazy dog")); n != 0 {
		t.Errorf("%d pieces in another text", n)
	}
	scrambled := append([]byte{}, s.text...)
	for i := range scrambled {
		scrambled[i] ^= 0x80
	}
	if n := s.count(scrambled); n != 0 {
		t.Errorf("%d pieces in the scrambled text", n)
	}
}
