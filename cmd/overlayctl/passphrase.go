package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

const (
	minPassphrase    = 8 // characters
	maxPassphraseLen = 4 << 10
	terminalPath     = "/dev/tty"
)

// passphrase comes from a file, - being standard input, or from whoever sits at the terminal.
type passphrase struct {
	file     string
	stdin    io.Reader
	terminal func() (*os.File, error)
}

func openTerminal() (*os.File, error) { return os.OpenFile(terminalPath, os.O_RDWR, 0) }

// chosen is a new passphrase: typed twice, and not too short.
func (p passphrase) chosen(ctx context.Context) ([]byte, error) {
	text, err := p.read(ctx, "Passphrase for the file: ", "The same once more: ")
	if err != nil {
		return nil, err
	}
	if n := utf8.RuneCount(text); n < minPassphrase {
		return nil, fmt.Errorf("the passphrase has %d characters: take at least %d, such as a few words", n, minPassphrase)
	}
	return text, nil
}

// known is one that was chosen before.
func (p passphrase) known(ctx context.Context) ([]byte, error) {
	return p.read(ctx, "Passphrase of the file: ")
}

// read asks all questions, which are to have the same answer; a file is read once.
func (p passphrase) read(ctx context.Context, questions ...string) ([]byte, error) {
	if p.file != "" {
		return p.fromFile()
	}
	f, err := p.terminal()
	if err != nil {
		return nil, errors.New("there is no terminal to ask for the passphrase: name a file that holds it with --passphrase-file")
	}
	defer f.Close()
	var first []byte
	for i, q := range questions {
		answer, err := ask(ctx, f, q)
		switch {
		case err != nil:
			return nil, err
		case i == 0:
			first = answer
		case !bytes.Equal(first, answer):
			return nil, errors.New("the two passphrases differ: run the command again")
		}
	}
	return first, nil
}

func (p passphrase) fromFile() ([]byte, error) {
	in := p.stdin
	if p.file != "-" {
		f, err := os.Open(p.file)
		if err != nil {
			return nil, fmt.Errorf("passphrase: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxPassphraseLen+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("passphrase: %w", err)
	case len(text) > maxPassphraseLen:
		return nil, fmt.Errorf("the passphrase in %s is longer than %d bytes: name another file", p.file, maxPassphraseLen)
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")), nil
}

// ask reads one line from a terminal that does not show it. When ctx ends, what still waits for the line ends with the
// process.
func ask(ctx context.Context, terminal *os.File, question string) ([]byte, error) {
	fd := int(terminal.Fd())
	before, err := hide(fd)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	defer func() {
		_ = term.Restore(fd, before)
		_, _ = io.WriteString(terminal, "\n")
	}()
	if _, err := io.WriteString(terminal, question); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, fmt.Errorf("no passphrase was given: %w", a.err)
		}
		return a.text, nil
	case <-ctx.Done():
		return nil, errors.New("interrupted")
	}
}

// hide makes a terminal not show what is typed; it comes before the question, since some type ahead. It returns how the
// terminal was.
func hide(fd int) (*term.State, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	quiet, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	quiet.Lflag &^= unix.ECHO
	return before, unix.IoctlSetTermios(fd, unix.TCSETS, quiet)
}
