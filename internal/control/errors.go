package control

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// What a Backend's errors wrap, and a Client's after them.
var (
	ErrBadRequest    = errors.New("bad request")
	ErrUnknownPeer   = errors.New("no such peer")
	ErrUnknownInvite = errors.New("no such invitation")
	ErrUnknownRoute  = errors.New("no such rule")
	ErrNotAdmin      = errors.New("not an admin node")
	ErrNotRoot       = errors.New("not without the root key")
	ErrRevoked       = errors.New("revoked")
	ErrConflict      = errors.New("conflict") // what is asked for does not go with what is
	ErrNoPath        = errors.New("no such path")
	ErrNoAnswer      = errors.New("no answer")
	ErrNotStored     = errors.New("not stored") // what was asked for is done, and lost when the daemon ends
)

// What a Client, or Listen, fails with by itself.
var (
	ErrNotRunning = errors.New("daemon not running")
	ErrPermission = errors.New("permission denied")
	ErrInUse      = errors.New("socket in use")
)

// rows ties sentinels to what they are in JSON and HTTP.
func rows() []errorRow {
	return []errorRow{
		{ErrBadRequest, "bad-request", http.StatusBadRequest},
		{ErrUnknownPeer, "unknown-peer", http.StatusNotFound},
		{ErrUnknownInvite, "unknown-invite", http.StatusNotFound},
		{ErrUnknownRoute, "unknown-route", http.StatusNotFound},
		{ErrNotAdmin, "not-admin", http.StatusForbidden},
		{ErrNotRoot, "not-root", http.StatusForbidden},
		{ErrRevoked, "revoked", http.StatusGone},
		{ErrConflict, "conflict", http.StatusConflict},
		{ErrNoPath, "no-path", http.StatusConflict},
		{ErrNoAnswer, "no-answer", http.StatusGatewayTimeout},
		{ErrNotStored, "not-stored", http.StatusInsufficientStorage},
		{ErrPermission, "permission", http.StatusForbidden},
		{context.DeadlineExceeded, "no-answer", http.StatusGatewayTimeout},
	}
}

type errorRow struct {
	sentinel error
	code     string
	status   int
}

// failure is the body of an answer that failed.
type failure struct {
	Code  string `json:"code"`
	Error string `json:"error"`
}

// describe is an error as it goes to the client. That a request was bad, or in conflict with what is, is said by the
// code, not once more in words.
func describe(err error) (failure, int) {
	for _, r := range rows() {
		if errors.Is(err, r.sentinel) {
			text := strings.TrimPrefix(err.Error(), ErrBadRequest.Error()+": ")
			text = strings.TrimPrefix(text, ErrConflict.Error()+": ")
			return failure{Code: r.code, Error: text}, r.status
		}
	}
	return failure{Code: "internal", Error: err.Error()}, http.StatusInternalServerError
}

// remoteError is an error that the daemon answered with: its words, and its sentinel.
type remoteError struct {
	text     string
	sentinel error // nil if the code is not known here
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.sentinel }

func (f failure) err() error {
	for _, r := range rows() {
		if r.code == f.Code {
			return &remoteError{text: f.Error, sentinel: r.sentinel}
		}
	}
	return &remoteError{text: f.Error}
}
