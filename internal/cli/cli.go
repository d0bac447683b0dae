// Package cli is what the commands share: how a failure becomes an exit status.
package cli

import (
	"errors"
	"fmt"
)

// usageError is an error in how a command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage makes err an error in how the command was called.
func Usage(err error) error { return usageError{err} }

// Usagef is Usage of an error made by fmt.Errorf.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Status is the exit status that an error deserves: 0 for none, 2 for an error in how the command was called, else 1.
func Status(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return 2
	default:
		return 1
	}
}
