package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"overlayd/internal/wire"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func started(t testing.TB, dir string) *Journal {
	t.Helper()
	j := Open(dir, slog.New(slog.DiscardHandler))
	t.Cleanup(j.Close)
	return j
}

// halted is a journal whose writer does not run yet, as if the disk were slow.
func halted(t testing.TB, dir string, queue int, size int64) *Journal {
	t.Helper()
	j := create(dir, queue, size, slog.New(slog.DiscardHandler))
	check(t, os.MkdirAll(dir, 0o700))
	check(t, j.segment.open())
	return j
}

func read1(t testing.TB, j *Journal, q Query) []Event {
	t.Helper()
	events, _, err := j.Read(t.Context(), q)
	check(t, err)
	return events
}

// event is the nth of many.
func event(n int) Event {
	return Event{Time: noon.Add(time.Duration(n) * time.Second), Kind: Switched, Peer: "boston", Reason: fmt.Sprint("number ", n)}
}

func reasons(events []Event) (list []string) {
	for _, e := range events {
		list = append(list, e.Reason)
	}
	return list
}

func TestWhatIsRecordedIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	loss := 0.25
	want := []Event{
		{Time: noon, Kind: Started, Reason: "v1"},
		{
			Time: noon.Add(time.Second), Kind: Switched, Peer: "boston", PeerID: wire.NodeID{3}.String(), Class: "bulk",
			From: &Path{Via: []string{}, Endpoint: "198.51.100.3:51871", State: "dead", Loss: &loss},
			To:   &Path{Via: []string{"cambridge"}, RTT: 21.4}, Code: "died", Reason: "direct path dead",
		},
	}
	j := started(t, dir)
	for _, e := range want {
		j.Record(e)
	}
	if diff := cmp.Diff(want, read1(t, j, Query{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	j.Close()
	if _, _, err := j.Read(t.Context(), Query{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after its end: %v", err)
	}
	if diff := cmp.Diff(want, read1(t, started(t, dir), Query{})); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}

func TestOnlyTheOwnerCanReadIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := started(t, dir)
	j.Record(event(1))
	read1(t, j, Query{})
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "events.jsonl"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
}

func TestQueriesNarrowDown(t *testing.T) {
	j := started(t, t.TempDir())
	boston, salem := wire.NodeID{3}, wire.NodeID{4}
	for i, e := range []Event{
		{Peer: "boston", PeerID: boston.String()},
		{Peer: "salem", PeerID: salem.String()},
		{Peer: "boston", PeerID: salem.String()}, // it had the name later
		{},
	} {
		e.Time, e.Kind, e.Reason = noon.Add(time.Duration(i)*time.Minute), Switched, fmt.Sprint(i)
		j.Record(e)
	}
	for _, tt := range []struct {
		name string
		q    Query
		want string
		more bool
	}{
		{"all", Query{}, "0 1 2 3", false},
		{"a peer", Query{PeerID: boston}, "0", false},
		{"a name", Query{Name: "boston"}, "0 2", false},
		{"either", Query{PeerID: salem, Name: "boston"}, "0 1 2", false},
		{"nobody", Query{Name: "paris"}, "", false},
		{"since", Query{Since: noon.Add(time.Minute)}, "1 2 3", false},
		{"the newest", Query{Most: 2}, "2 3", true},
		{"as many as there are", Query{Most: 4}, "0 1 2 3", false},
		{"of a peer since", Query{Name: "boston", Since: noon.Add(time.Second), Most: 5}, "2", false},
	} {
		events, more, err := j.Read(t.Context(), tt.q)
		if got := strings.Join(reasons(events), " "); err != nil || got != tt.want || more != tt.more {
			t.Errorf("%s: %q, more %v, %v", tt.name, got, more, err)
		}
	}
}

func TestTheJournalIsBoundedAndKeepsTheNewest(t *testing.T) {
	const size, events = 2000, 500
	dir := t.TempDir()
	j := halted(t, dir, events, size)
	go j.write()
	t.Cleanup(j.Close)
	for i := range events {
		j.Record(event(i))
		read1(t, j, Query{Most: 1}) // so that it is written by itself
	}
	got := read1(t, j, Query{})
	if n := len(got); n < 10 || n == events || got[n-1].Reason != "number 499" {
		t.Fatalf("%d events are left, the last one is %+v", n, got[n-1])
	}
	for i := range got[1:] {
		if got[i+1].Time.Sub(got[i].Time) != time.Second {
			t.Errorf("a gap between %v and %v", got[i].Reason, got[i+1].Reason)
		}
	}
	entries, err := os.ReadDir(dir)
	check(t, err)
	var total int64
	for _, e := range entries {
		info, err := e.Info()
		check(t, err)
		total += info.Size()
	}
	if len(entries) != 2 || total > 2*size {
		t.Errorf("%d files, %d bytes", len(entries), total)
	}
}

func TestABatchDoesNotOverflowASegment(t *testing.T) {
	dir := t.TempDir()
	j := halted(t, dir, maxQueue, maxSegment)
	e := event(1)
	e.Reason = strings.Repeat("x", 12<<10)
	for range maxQueue {
		j.Record(e)
	}
	go j.write()
	j.Close()
	for _, name := range []string{"events.jsonl", "events.1.jsonl"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() > maxSegment+maxLine {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestASlowDiskStallsNobodyAndTheGapIsNoted(t *testing.T) {
	j := halted(t, t.TempDir(), 3, maxSegment)
	for i := range 10 {
		j.Record(event(i)) // would wait for ever if it waited
	}
	go j.write()
	t.Cleanup(j.Close)
	events := read1(t, j, Query{})
	if len(events) != 4 || events[2].Reason != "number 2" || events[3].Kind != Dropped || events[3].Count != 7 {
		t.Errorf("got %+v", events)
	}
}

func TestAFailedWriteIsNotedOnceItWorksAgain(t *testing.T) {
	j := halted(t, t.TempDir(), 10, maxSegment)
	check(t, j.segment.file.Close())
	go j.write()
	t.Cleanup(j.Close)
	j.Record(event(1))
	read1(t, j, Query{})
	j.Record(event(2))
	lost, seen := uint64(0), false
	for _, e := range read1(t, j, Query{}) {
		lost += e.Count
		seen = seen || e.Reason == "number 2"
		if e.Reason == "number 1" {
			t.Error("an event that could not be written is there")
		}
	}
	if lost != 1 || !seen {
		t.Errorf("%d are noted as lost; the next one is there: %v", lost, seen)
	}
}

func TestALineThatACrashToreIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	whole, err := event(1).appendLine(nil)
	check(t, err)
	for cut := 1; cut < len(whole); cut++ {
		path := filepath.Join(dir, "events.jsonl")
		check(t, os.WriteFile(path, append(append([]byte{}, whole...), whole[:cut]...), 0o600))
		j := started(t, dir)
		if got := read1(t, j, Query{}); len(got) != 1 {
			t.Fatalf("torn after %d bytes: %+v", cut, got)
		}
		j.Record(event(2))
		want := []string{"number 1", "number 2"}
		if cut == len(whole)-1 {
			want = []string{"number 1", "number 1", "number 2"} // only its end was missing
		}
		if diff := cmp.Diff(want, reasons(read1(t, j, Query{}))); diff != "" {
			t.Fatalf("torn after %d bytes (-want +got):\n%s", cut, diff)
		}
		j.Close()
	}
}

func TestOddLinesAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	good, err := event(1).appendLine(nil)
	check(t, err)
	text := "\n{}\nnull\n{\"time\":7}\n" + strings.Repeat("y", 3*maxLine) + "\n" + string(good) + "\x00\x00\n"
	check(t, os.WriteFile(filepath.Join(dir, "events.jsonl"), []byte(text), 0o600))
	if got := reasons(read1(t, started(t, dir), Query{})); len(got) != 1 || got[0] != "number 1" {
		t.Errorf("got %q", got)
	}
}

func TestALongEventLosesItsWordsAndNotItsPlace(t *testing.T) {
	j := started(t, t.TempDir())
	e := event(1)
	e.Reason = strings.Repeat("x", 2*maxLine)
	j.Record(e)
	if got := read1(t, j, Query{}); len(got) != 1 || got[0].Reason != "" || got[0].Peer != "boston" {
		t.Errorf("got %+v", got)
	}
}

func TestWhoHasLeftIsNotWaitedFor(t *testing.T) {
	j := halted(t, t.TempDir(), 1, maxSegment)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := j.Read(ctx, Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNoJournalIsHarmless(t *testing.T) {
	var j *Journal
	j.Record(event(1))
	j.Close()
	if _, _, err := j.Read(t.Context(), Query{}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	line, err := event(1).appendLine(nil)
	check(f, err)
	f.Add(line)
	f.Add([]byte(`{"time":"2026-11-25T12:00:00Z","kind":"switch","from":{"via":null},"loss":0}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parse(line)
		if err != nil {
			return
		}
		again, err := e.appendLine(nil)
		if err != nil {
			t.Skip("a time that JSON has, and does not write")
		}
		if back, err := parse(again[:len(again)-1]); err != nil || back.Kind != e.Kind || !back.Time.Equal(e.Time) {
			t.Errorf("%+v came back as %+v, %v", e, back, err)
		}
	})
}
