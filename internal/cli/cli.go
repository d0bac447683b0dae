// Package cli is what the commands share: which exit status a failure becomes, and times as people write them.
package cli

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Clean takes out of what other nodes, or files, may have chosen whatever a terminal does not show as it is: control
// characters, with which an escape sequence begins, and those that turn the direction of writing around.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, text)
}

// The exit statuses of overlayd and overlayctl. README.md lists the same. Status 2 is left to the Go runtime, which ends
// with it after a panic: a service manager should start overlayd again then.
const (
	ExitOK         = 0
	ExitFailed     = 1  // of no other kind
	ExitNotRunning = 3  // no daemon answers on the control socket
	ExitPermission = 4  // not allowed: to use the socket, or to change what is asked for
	ExitUnknown    = 5  // no peer, invitation or rule of that name
	ExitNoPath     = 6  // no path to the peer works, or it does not answer
	ExitUsage      = 64 // the command was called wrongly (EX_USAGE of sysexits.h)
	ExitConfig     = 78 // the configuration or the state needs a person: starting again changes nothing (EX_CONFIG)
)

// coded is an error with the exit status that it deserves.
type coded struct {
	error
	status int
}

func (e coded) Unwrap() error { return e.error }

// Exit gives err an exit status; nil stays nil.
func Exit(status int, err error) error {
	if err == nil {
		return nil
	}
	return coded{err, status}
}

// Usage makes err an error in how the command was called.
func Usage(err error) error { return Exit(ExitUsage, err) }

// Usagef is Usage of an error made by fmt.Errorf.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// Configf is an error made by fmt.Errorf that only a person can put right.
func Configf(format string, args ...any) error {
	return Exit(ExitConfig, fmt.Errorf(format, args...))
}

// Status is the exit status that an error deserves: ExitOK for none, ExitFailed for one that has no other.
func Status(err error) int {
	var with coded
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &with):
		return with.status
	default:
		return ExitFailed
	}
}
