package nat

import (
	"net/netip"
	"testing"
	"time"
)

// asked is how many of the requests of a second, one each millisecond, are answered. No answer is larger than its request.
func asked(t *testing.T, a *Answerer, second int, from func(i int) netip.AddrPort) (n int) {
	t.Helper()
	request := AppendSTUNRequest(nil, TransactionID{1})
	for i := range 1000 {
		now := start.Add(time.Duration(second)*time.Second + time.Duration(i)*time.Millisecond)
		if answer, ok := a.Answer(now, nil, request, from(i)); ok {
			n++
			if len(answer) > len(request) {
				t.Fatalf("%d bytes in answer to %d", len(answer), len(request))
			}
		}
	}
	return n
}

func TestFewSTUNRequestsOfOneSourceAreAnswered(t *testing.T) {
	for _, prefix := range []string{"198.51.100.7/32", "2001:db8::/64"} {
		source := netip.MustParsePrefix(prefix).Addr()
		a, n := NewAnswerer(), 0
		for second := range 10 {
			n += asked(t, a, second, func(i int) netip.AddrPort {
				if source.Is6() {
					source = source.Next() // of the same network
				}
				return netip.AddrPortFrom(source, uint16(1+i))
			})
		}
		if n < 10 || n > sourceAnswersAtOnce+10*sourceAnswers {
			t.Errorf("%s: %d answers in ten seconds", prefix, n)
		}
	}
}

func TestFewSTUNRequestsOfAllAreAnswered(t *testing.T) {
	a, n, next := NewAnswerer(), 0, netip.MustParseAddr("198.18.0.0")
	for second := range 10 {
		n += asked(t, a, second, func(int) netip.AddrPort {
			next = next.Next()
			return netip.AddrPortFrom(next, 9)
		})
		if len(a.sources) > maxSources {
			t.Fatalf("%d sources", len(a.sources))
		}
	}
	if n < 100 || n > totalAnswersAtOnce+10*totalAnswers {
		t.Errorf("%d answers in ten seconds", n)
	}
	if _, ok := a.Answer(start.Add(time.Minute), nil, AppendSTUNRequest(nil, TransactionID{1}), endpoints("192.0.2.1:9")[0]); !ok {
		t.Error("nobody is answered any more")
	}
}
