package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func listen(t testing.TB, at string) *Socket {
	t.Helper()
	sockets, err := Listen(netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sockets[0].Close() })
	return sockets[0]
}

// datagrams reads until n datagrams have come.
func datagrams(t testing.TB, r *Reader, n int) [][]byte {
	t.Helper()
	var got [][]byte
	for len(got) < n {
		messages, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		for i := range messages {
			data, segment, _ := r.Message(i)
			if segment == 0 {
				segment = max(1, len(data))
			}
			for c := range slices.Chunk(data, segment) {
				got = append(got, bytes.Clone(c))
			}
		}
	}
	return got
}

func packetsOf(sizes ...int) [][]byte {
	var packets [][]byte
	for i, size := range sizes {
		packets = append(packets, bytes.Repeat([]byte{byte(i + 1)}, size))
	}
	return packets
}

func equalPackets(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// forEachSocket runs a test on IPv4 and IPv6, with and without UDP_SEGMENT.
func forEachSocket(t *testing.T, run func(t *testing.T, from, to *Socket)) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, plain := range []bool{false, true} {
			name := at
			if plain {
				name += " without UDP_SEGMENT"
			}
			t.Run(name, func(t *testing.T) {
				from, to := listen(t, at), listen(t, at)
				if plain {
					from.pauseSegments()
				} else if !from.Segments() {
					t.Skip("the kernel has no UDP_SEGMENT")
				}
				run(t, from, to)
			})
		}
	}
}

func TestPacketsArriveAsTheyWereSent(t *testing.T) {
	many := slices.Repeat([]int{1432}, 128)
	rising := make([]int, 128)
	for i := range rising {
		rising[i] = i + 1
	}
	for name, sizes := range map[string][]int{
		"one":                       {100},
		"equal":                     {1200, 1200, 1200},
		"last one shorter":          {1200, 1200, 7},
		"short one in the middle":   {1200, 7, 1200},
		"larger and larger":         rising,
		"more than a message holds": many,
		"largest":                   {65000, 65000},
		"mixed":                     {60, 1432, 1432, 60, 60, 900, 1432},
	} {
		t.Run(name, func(t *testing.T) {
			forEachSocket(t, func(t *testing.T, from, to *Socket) {
				for _, prefix := range []uint64{0, 0x4c11223344556677} {
					packets := packetsOf(sizes...)
					batch, reader := from.NewBatch(), to.NewReader()
					for rest := packets; len(rest) > 0; {
						n := batch.Packets(to.LocalAddr(), prefix, rest)
						if sent, err := from.Send(batch); sent != n || err != nil {
							t.Fatalf("sent %d of %d datagrams: %v", sent, n, err)
						}
						batch.Reset()
						rest = rest[n:]
					}
					want := packets
					if prefix != 0 {
						want = nil
						for _, p := range packets {
							want = append(want, append(binary.BigEndian.AppendUint64(nil, prefix), p...))
						}
					}
					if got := datagrams(t, reader, len(want)); !equalPackets(got, want) {
						t.Errorf("prefix %x: datagrams differ from those sent", prefix)
					}
				}
			})
		})
	}
}

func TestRandomSizesSurviveTwoHops(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	a, relay, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	relayReader, reader := relay.NewReader(), b.NewReader()
	out, on := a.NewBatch(), relay.NewBatch()
	for range 200 {
		var packets [][]byte
		for range 1 + rng.IntN(40) {
			size := []int{1432, 1432, 1432, 1 + rng.IntN(1432)}[rng.IntN(4)]
			packets = append(packets, bytes.Repeat([]byte{byte(rng.Uint32())}, size))
		}
		if n := out.Packets(relay.LocalAddr(), 0, packets); n != len(packets) {
			t.Fatalf("seed %d: batch took %d of %d", seed, n, len(packets))
		}
		if sent, err := a.Send(out); sent != len(packets) || err != nil {
			t.Fatalf("seed %d: sent %d of %d: %v", seed, sent, len(packets), err)
		}
		out.Reset()
		for left := len(packets); left > 0; {
			n, err := relayReader.Read()
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				data, segment, from := relayReader.Message(i)
				if from != a.LocalAddr() {
					t.Fatalf("message from %v, want %v", from, a.LocalAddr())
				}
				if taken := on.Segments(b.LocalAddr(), data, segment); taken != len(data) {
					t.Fatalf("seed %d: batch took %d of %d bytes", seed, taken, len(data))
				}
			}
			sent, err := relay.Send(on)
			if err != nil {
				t.Fatal(err)
			}
			on.Reset()
			left -= sent
		}
		if got := datagrams(t, reader, len(packets)); !equalPackets(got, packets) {
			t.Fatalf("seed %d: datagrams differ from those sent", seed)
		}
	}
}

func TestSegmentsSplitsWhatOneMessageCannotHold(t *testing.T) {
	from, to := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	data := bytes.Repeat([]byte("0123456789"), 20) // 100 datagrams of 2 bytes
	batch := from.NewBatch()
	if n := batch.Segments(to.LocalAddr(), data, 2); n != len(data) {
		t.Fatalf("batch took %d of %d bytes", n, len(data))
	}
	if sent, err := from.Send(batch); sent != 100 || err != nil {
		t.Fatalf("sent %d datagrams: %v", sent, err)
	}
	if got := bytes.Join(datagrams(t, to.NewReader(), 100), nil); !bytes.Equal(got, data) {
		t.Errorf("got %q", got)
	}
}

func TestBatchSaysWhatItHasRoomFor(t *testing.T) {
	from := listen(t, "127.0.0.1:0")
	batch := from.NewBatch()
	to := netip.MustParseAddrPort("127.0.0.1:9")
	for range batchMessages {
		if !batch.Packet(to, 0, []byte("x")) {
			t.Fatal("batch full too soon")
		}
	}
	if batch.Packet(to, 0, []byte("x")) || batch.Packets(to, 1, packetsOf(1)) != 0 ||
		batch.Segments(to, []byte("x"), 0) != 0 {
		t.Error("a full batch took more")
	}
	batch.Reset()
	if !batch.Empty() {
		t.Error("not empty after Reset")
	}
}

func TestAddressOfTheWrongFamilyIsForgotten(t *testing.T) {
	from := listen(t, "127.0.0.1:0")
	batch := from.NewBatch()
	for _, to := range []string{"[::1]:9", "127.0.0.1:0"} {
		if n := batch.Packets(netip.MustParseAddrPort(to), 0, packetsOf(1, 2)); n != 2 || !batch.Empty() {
			t.Errorf("%s: took %d, empty %v", to, n, batch.Empty())
		}
	}
	if sent, err := from.Send(batch); sent != 0 || err != nil {
		t.Errorf("sent %d: %v", sent, err)
	}
}

func TestOneFailureDoesNotKeepOthersFromBeingSent(t *testing.T) {
	from, to := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	batch := from.NewBatch()
	batch.Packet(netip.MustParseAddrPort("8.8.8.8:9"), 0, []byte("from loopback to the Internet: EINVAL"))
	batch.Packet(to.LocalAddr(), 0, []byte("two"))
	sent, err := from.Send(batch)
	if sent != 1 || err == nil {
		t.Errorf("sent %d, error %v; want 1 and an error", sent, err)
	}
	if got := datagrams(t, to.NewReader(), 1); string(got[0]) != "two" {
		t.Errorf("got %q", got)
	}
}

func TestDatagramsToAClosedPortEndNothing(t *testing.T) {
	from := listen(t, "127.0.0.1:0")
	closed := listen(t, "127.0.0.1:0")
	closed.Close()
	if err := from.raw.Control(func(fd uintptr) { // so that ICMP errors are reported on an unconnected socket
		if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	batch := from.NewBatch()
	for i := range 10 {
		batch.Reset()
		batch.Packet(closed.LocalAddr(), 0, []byte("nobody"))
		if _, err := from.Send(batch); err != nil {
			t.Fatalf("round %d: the error of an earlier datagram was taken for this one's: %v", i, err)
		}
	}
	batch.Reset()
	batch.Packet(from.LocalAddr(), 0, []byte("myself"))
	if _, err := from.Send(batch); err != nil {
		t.Fatal(err)
	}
	if got := datagrams(t, from.NewReader(), 1); string(got[0]) != "myself" {
		t.Errorf("got %q", got)
	}
}

func TestCloseEndsRead(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	done := make(chan error)
	go func() {
		_, err := s.NewReader().Read()
		done <- err
	}()
	s.Close()
	if err := <-done; err != net.ErrClosed {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
	batch := s.NewBatch()
	batch.Packet(netip.MustParseAddrPort("127.0.0.1:9"), 0, []byte("x"))
	if _, err := s.Send(batch); err != net.ErrClosed {
		t.Errorf("Send on a closed socket: %v, want net.ErrClosed", err)
	}
}

func TestListenOnBothFamilies(t *testing.T) {
	sockets, err := Listen(netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		defer s.Close()
		if s.LocalAddr().Port() != sockets[0].LocalAddr().Port() || s.LocalAddr().Port() == 0 {
			t.Errorf("listening on %v and %v", sockets[0].LocalAddr(), s.LocalAddr())
		}
	}
	if sockets[0].Is6() || len(sockets) != 2 || !sockets[1].Is6() {
		t.Skipf("no IPv6 here: %v", sockets)
	}
	taken := netip.AddrPortFrom(netip.IPv4Unspecified(), sockets[0].LocalAddr().Port())
	if _, err := Listen(taken); !errors.Is(err, ErrPortInUse) {
		t.Errorf("got %v, want ErrPortInUse", err)
	}
}

func TestListenOnOneAddress(t *testing.T) {
	s := listen(t, "[::ffff:127.0.0.1]:0")
	if s.Is6() || s.LocalAddr().Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("listening on %v", s.LocalAddr())
	}
	if _, err := Listen(s.LocalAddr()); !errors.Is(err, ErrPortInUse) {
		t.Errorf("got %v, want ErrPortInUse", err)
	}
	if _, err := Listen(netip.MustParseAddrPort("192.0.2.1:0")); err == nil || errors.Is(err, ErrPortInUse) {
		t.Errorf("an address that is not ours: %v", err)
	}
}

func TestTimeIsThatOfReceptionInTheKernel(t *testing.T) {
	from, to := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	reader, batch := to.NewReader(), from.NewBatch()
	before := time.Now()
	batch.Packet(to.LocalAddr(), 0, []byte("x"))
	if _, err := from.Send(batch); err != nil {
		t.Fatal(err)
	}
	sent := time.Now()
	for time.Since(sent) < 20*time.Millisecond { // let it lie in the socket for a while
	}
	if _, err := reader.Read(); err != nil {
		t.Fatal(err)
	}
	at := reader.Time(0, time.Now())
	const slack = 5 * time.Millisecond // the wall clock may be slewed
	if at.Before(before.Add(-slack)) || at.After(sent.Add(slack)) {
		t.Errorf("received %v after it was sent", at.Sub(before))
	}
	if got := reader.Time(0, time.Now().Add(time.Hour)); time.Until(got) < 59*time.Minute {
		t.Error("a time stamp of long ago was believed")
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	from, to := listen(t, "[::1]:0"), listen(t, "[::1]:0")
	reader, batch := to.NewReader(), from.NewBatch()
	packets := packetsOf(slices.Repeat([]int{1400}, 40)...)
	address := to.LocalAddr()
	if n := testing.AllocsPerRun(200, func() {
		batch.Packets(address, 0x4c00000000000001, packets)
		if _, err := from.Send(batch); err != nil {
			t.Fatal(err)
		}
		batch.Reset()
		n, err := reader.Read()
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			reader.Message(i)
		}
	}); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
}

func TestSegmentsAreTriedAgain(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	s.pauseSegments()
	if s.Segments() {
		t.Error("UDP_SEGMENT is used right after the kernel refused it")
	}
	s.plainUntil.Store(time.Now().UnixNano() - 1)
	if s.Segments() != s.canSegment {
		t.Error("UDP_SEGMENT is not used again")
	}
}
