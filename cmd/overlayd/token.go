package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"overlayd/config"
	"overlayd/internal/cli"
)

// tokenSource is where overlayd join may find its token.
type tokenSource struct {
	args     []string
	file     string // of --token-file; - is standard input
	variable string
	stdin    io.Reader
}

// maxTokenText is more than any token has, in bytes.
const maxTokenText = 16 << 10

// read is the text of the token. One that is given on the command line, in whatever form, beats the variable.
func (t tokenSource) read() (string, error) {
	switch {
	case len(t.args) > 1:
		return "", cli.Usagef("overlayd join takes one token, and was given %d", len(t.args))
	case len(t.args) == 1 && t.file != "":
		return "", cli.Usagef("overlayd join takes one token, and was given an argument and --token-file")
	case len(t.args) == 1 && t.args[0] != "-":
		return t.args[0], nil
	case len(t.args) == 1 || t.file == "-":
		if f, ok := t.stdin.(*os.File); ok && isTerminal(f) {
			_, _ = fmt.Fprint(f, "paste the token: ")
		}
		return firstLine(t.stdin, "standard input")
	case t.file != "":
		f, err := os.Open(t.file)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer func() { _ = f.Close() }()
		return firstLine(f, t.file)
	case t.variable != "":
		return strings.TrimSpace(t.variable), nil
	}
	return "", cli.Usagef("overlayd join takes one token: name a file that holds it with --token-file FILE, or pass it on standard input "+
		"(overlayd join -) or in %s", config.TokenVariable)
}

func firstLine(r io.Reader, from string) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxTokenText)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the token from %s: %w", from, err)
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("there is no token in the first line of %s", from)
	}
	return line, nil
}
