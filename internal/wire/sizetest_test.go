package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestASizeTestMakesAFrameOfItsSize(t *testing.T) {
	for _, size := range []int{600, 1208, 1432, MaxSizeTest} {
		body := SizeTest{Token: 7}.AppendPadded(nil, size)
		if got := len(body) + controlOverhead; got != size {
			t.Errorf("a frame of %d bytes, want %d", got, size)
		}
		if len(body) > KindSizeTest.MaxBody() {
			t.Errorf("a body of %d bytes, the bound is %d", len(body), KindSizeTest.MaxBody())
		}
		if m, err := ParseSizeTest(body); err != nil || m.Token != 7 {
			t.Errorf("%+v, %v", m, err)
		}
	}
	for _, size := range []int{-1, 0, controlOverhead, 9000} {
		if body := (SizeTest{}).AppendPadded(nil, size); len(body) < sizeTestLen || len(body) > KindSizeTest.MaxBody() {
			t.Errorf("size %d: a body of %d bytes", size, len(body))
		}
	}
	if answer := (SizeTest{Token: 7}).Append(nil); len(answer) >= 600-controlOverhead {
		t.Error("the answer is as long as the test")
	}
}

func FuzzSizeTest(f *testing.F) {
	f.Add([]byte{})
	f.Add(SizeTest{Token: 1 << 63}.AppendPadded(nil, 700))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseSizeTest(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(m.Append(nil), b[:sizeTestLen]) {
			t.Fatalf("%x came back as %x", b, m.Append(nil))
		}
	})
}
