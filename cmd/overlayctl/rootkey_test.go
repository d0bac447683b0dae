package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
	"overlayd/internal/vault"
)

// typed runs overlayctl with a text on its standard input.
func typed(t testing.TB, b control.Backend, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	socket, stop := controltest.Serve(t, b)
	defer stop()
	var out, errs bytes.Buffer
	status = run(t.Context(), append([]string{"--socket", socket}, args...), nil, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

// exported is a file with the root key of the test backend, under correct horse.
func exported(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "root.key")
	status, _, stderr := typed(t, &controltest.Backend{}, "correct horse\n", "root", "export", file, "--passphrase-file", "-")
	if status != 0 {
		t.Fatal(stderr)
	}
	return file
}

func TestRootKeyIsExportedSealedForItsOwnerOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.key")
	words := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(words, []byte("correct horse\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	prints(t, &controltest.Backend{}, "the root key of charles is in "+file+", sealed under the passphrase: keep both, apart and "+
		"off this host; `overlayctl root forget` then removes the key from belmont\n",
		"root", "export", file, "--passphrase-file", words)
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if rest, _ := os.ReadDir(filepath.Dir(file)); len(rest) != 1 {
		t.Errorf("left behind: %v", rest)
	}
	f, err := readVault(file)
	if err != nil || f.Network != (vault.Network{Name: "charles", ID: "ffeeddccbbaa99887766554433221100"}) {
		t.Fatalf("%+v, %v", f, err)
	}
	if seed, err := f.Open([]byte("correct horse")); err != nil || !bytes.Equal(seed[:], controltest.Seed()) {
		t.Errorf("opened %v, %v", seed, err)
	}
}

func TestRootKeyIsRestoredAsItWasExported(t *testing.T) {
	b := &controltest.Backend{}
	status, stdout, stderr := typed(t, b, "correct horse", "root", "restore", exported(t), "--passphrase-file", "-")
	want := "belmont holds the root key of charles: when you are done, `overlayctl root forget` removes it again\n"
	if status != 0 || stdout != want || stderr != "" {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	same(t, b.Calls(), []controltest.Call{{Method: "RestoreRoot", Asked: controltest.Seed()}})
}

// elsewhere is a node of another network, without the root key.
type elsewhere struct{ *controltest.Backend }

func (e elsewhere) Status(ctx context.Context) (control.Status, error) {
	s, err := e.Backend.Status(ctx)
	s.Network, s.NetworkID, s.Root = "mystic", "00", false
	return s, err
}

func TestRootKeyIsNotHandledWrongly(t *testing.T) {
	file := exported(t)
	note := filepath.Join(t.TempDir(), "note")
	if err := os.WriteFile(note, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	free := filepath.Join(t.TempDir(), "free")
	for _, tt := range []struct {
		name, stdin string
		b           control.Backend
		args        []string
		want        string
	}{
		{
			"file exists", "correct horse", &controltest.Backend{},
			[]string{"export", file},
			file + " exists and is not overwritten: name a new file",
		},
		{
			"short passphrase", "hörse!!\n", &controltest.Backend{},
			[]string{"export", free},
			"the passphrase has 7 characters: take at least 8, such as a few words",
		},
		{
			"no directory", "correct horse", &controltest.Backend{},
			[]string{"export", filepath.Join(free, "x")},
			"write " + filepath.Join(free, "x") + ": ",
		},
		{
			"key is elsewhere", "correct horse",
			elsewhere{&controltest.Backend{}},
			[]string{"export", free},
			"not without the root key, which is not on belmont: export it on the node that holds it",
		},
		{
			"wrong passphrase", "correct house", &controltest.Backend{},
			[]string{"restore", file},
			"wrong passphrase for " + file + ": try another, or another copy of the file",
		},
		{
			"another network", "correct horse",
			elsewhere{&controltest.Backend{}},
			[]string{"restore", file},
			file + " holds the root key of another network, charles (ffeeddccbbaa99887766554433221100): belmont is in mystic (00)",
		},
		{
			"no such file", "correct horse", &controltest.Backend{},
			[]string{"restore", free},
			"open " + free + ": no such file or directory",
		},
		{
			"another file", "correct horse", &controltest.Backend{},
			[]string{"restore", note},
			"no sealed root key in " + note + ": name a file that `overlayctl root export` wrote",
		},
		{
			"long passphrase", strings.Repeat("x", maxPassphraseLen+1), &controltest.Backend{},
			[]string{"restore", file},
			"the passphrase in - is longer than 4096 bytes: name another file",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := typed(t, tt.b, tt.stdin, append([]string{"root", "--passphrase-file=-"}, tt.args...)...)
			if status == 0 || stdout != "" || !strings.HasPrefix(stderr, "overlayctl: "+tt.want) {
				t.Errorf("status %d, %q, %q", status, stdout, stderr)
			}
			if _, err := os.Stat(free); err == nil {
				t.Error("a file was written")
			}
		})
	}
}

// newTerminal is both ends of a terminal: what a person sees and types, and what a program has.
func newTerminal(t *testing.T) (person *os.File, program func() (*os.File, error)) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	return person, func() (*os.File, error) {
		return os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
}

// answer types lines, each when its question stands there, and returns all that the person saw.
func answer(t *testing.T, person *os.File, lines ...string) (seen func() string) {
	t.Helper()
	shown := make(chan string, 1)
	go func() {
		var text []byte
		b := make([]byte, 256)
		for i := 0; ; {
			n, err := person.Read(b)
			text = append(text, b[:n]...)
			if err != nil {
				break // the program has closed its end
			}
			if i < len(lines) && bytes.HasSuffix(text, []byte(": ")) {
				_, _ = io.WriteString(person, lines[i]+"\n")
				i++
			}
		}
		shown <- string(text)
	}()
	return func() string { return <-shown }
}

func TestPassphraseIsAskedTwiceAndNotShown(t *testing.T) {
	person, program := newTerminal(t)
	seen := answer(t, person, "correct horse", "correct horse")
	text, err := passphrase{terminal: program}.chosen(t.Context())
	if err != nil || string(text) != "correct horse" {
		t.Errorf("got %q, %v", text, err)
	}
	if got, want := seen(), "Passphrase for the file: \r\nThe same once more: \r\n"; got != want {
		t.Errorf("the person saw %q, want %q", got, want)
	}
}

func TestMistypedPassphraseIsFoundOut(t *testing.T) {
	person, program := newTerminal(t)
	answer(t, person, "correct horse", "correct house")
	_, err := passphrase{terminal: program}.chosen(t.Context())
	if err == nil || err.Error() != "the two passphrases differ: run the command again" {
		t.Errorf("got %v", err)
	}
}

func TestInterruptLeavesTheTerminalAsItWas(t *testing.T) {
	person, program := newTerminal(t)
	answer(t, person)
	f, err := program()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	echo := func() bool {
		state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		return err == nil && state.Lflag&unix.ECHO != 0
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for echo() {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := ask(ctx, f, "Passphrase: "); err == nil || err.Error() != "interrupted" {
		t.Errorf("got %v", err)
	}
	if !echo() {
		t.Error("what is typed is still not shown")
	}
	_, _ = io.WriteString(person, "\n") // ends the read that is left
}

func TestWithoutTerminalItSaysWhereThePassphraseMayBe(t *testing.T) {
	p := passphrase{terminal: func() (*os.File, error) { return nil, errors.New("none") }}
	want := "there is no terminal to ask for the passphrase: name a file that holds it with --passphrase-file"
	if _, err := p.known(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
