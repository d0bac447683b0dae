package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// Bounds of the server.
const (
	maxConns     = 64
	maxHeaderLen = 16 << 10
	maxBodyLen   = 64 << 10

	readTimeout     = 10 * time.Second
	idleTimeout     = time.Minute
	writeTimeout    = 10 * time.Second // of one answer, or of one line of a watch
	backendTimeout  = 10 * time.Second
	shutdownTimeout = 2 * time.Second

	defaultPingTimeout = 2 * time.Second
	maxPingTimeout     = 30 * time.Second

	defaultTTL = 24 * time.Hour
	maxTTL     = 30 * 24 * time.Hour

	defaultWatch = time.Second
	minWatch     = 50 * time.Millisecond
	maxWatch     = time.Minute
)

// Server answers the API for one Backend.
type Server struct {
	backend Backend
	log     *slog.Logger
}

// NewServer is a server that logs what is refused and what changes the node.
func NewServer(backend Backend, log *slog.Logger) *Server {
	return &Server{backend: backend, log: log}
}

// Serve answers on a listener of Listen until ctx ends; then it ends the watches, lets other answers finish within two
// seconds, closes the listener, and returns nil. It returns early only with the error of a failed listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	g, err := guardOf(l)
	if err != nil {
		l.Close()
		return err
	}
	base, end := context.WithCancel(ctx)
	defer end()
	srv := &http.Server{
		Handler:        s.handler(g),
		BaseContext:    func(net.Listener) context.Context { return base },
		ConnContext:    withCredentials,
		ReadTimeout:    readTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderLen,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(&bounded{Listener: l}) }()
	select {
	case err := <-done:
		return fmt.Errorf("control socket: %w", err)
	case <-ctx.Done():
	}
	// What runs has base's context, which ends with ctx; an answer such as that to down is still written.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if srv.Shutdown(stop) != nil {
		srv.Close()
	}
	<-done
	return nil
}

func guardOf(l net.Listener) (guard, error) {
	info, err := os.Stat(l.Addr().String())
	if err != nil {
		return guard{}, fmt.Errorf("control socket: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return guard{}, errors.New("control socket: its group is not known")
	}
	return guard{uid: uint32(os.Geteuid()), gid: stat.Gid}, nil
}

// handler routes the requests of those whom g allows.
func (s *Server) handler(g guard) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/status", answer(func(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
		return s.backend.Status(ctx)
	}))
	mux.Handle("GET /v1/peers", answer(func(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
		peers, err := s.backend.Peers(ctx)
		return peersBody{Peers: peers}, err
	}))
	mux.HandleFunc("GET /v1/paths", s.paths)
	s.manage(mux, g)
	s.routing(mux)
	s.inquire(mux)
	mux.Handle("POST /v1/ping", answer(s.ping))
	mux.Handle("POST /v1/down", answer(func(ctx context.Context, r *http.Request, _ []byte) (any, error) {
		s.log.Info("asked to stop", who(r)...)
		return struct{}{}, s.backend.Down(ctx)
	}))
	mux.Handle("/", answer(func(_ context.Context, r *http.Request, _ []byte) (any, error) {
		return nil, fmt.Errorf("%w: there is no %s %s", ErrBadRequest, r.Method, r.URL.Path)
	}))
	return s.guarded(g.allows, "run as root, or as a member of the socket's group", mux)
}

// guarded refuses those whom a guard does not let through, and tells them what to do.
func (s *Server) guarded(lets func(credentials) bool, advice string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := credentialsFrom(r.Context()); !ok || !lets(c) {
			s.log.Warn("control request refused", who(r)...)
			fail(w, fmt.Errorf("%w: %s", ErrPermission, advice))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// who is the caller for the log.
func who(r *http.Request) []any {
	c, _ := credentialsFrom(r.Context())
	return []any{"uid", c.uid, "pid", c.pid, "request", r.URL.Path}
}

type peersBody struct {
	Peers List[Peer] `json:"peers"`
}

func (s *Server) ping(ctx context.Context, _ *http.Request, body []byte) (any, error) {
	var req PingRequest
	if err := parseBody(body, &req); err != nil {
		return nil, err
	}
	if req.Timeout <= 0 {
		req.Timeout = Duration(defaultPingTimeout)
	}
	req.Timeout = min(req.Timeout, Duration(maxPingTimeout))
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.Timeout))
	defer cancel()
	result, err := s.backend.Ping(ctx, req)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w within %v", ErrNoAnswer, time.Duration(req.Timeout))
	}
	return result, err
}

// answer makes a handler of a function: one bounded request, one bounded call, one JSON body.
func answer(f func(ctx context.Context, r *http.Request, body []byte) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyLen))
		if err != nil {
			fail(w, fmt.Errorf("%w: %w", ErrBadRequest, err))
			return
		}
		untilClientLeaves(w)
		ctx, cancel := context.WithTimeout(r.Context(), backendTimeout+maxPingTimeout)
		defer cancel()
		result, err := f(ctx, r, body)
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, result)
	})
}

// untilClientLeaves takes back the server's ReadTimeout once the request has been read: it would end the request's
// context even though the client only waits.
func untilClientLeaves(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

func fail(w http.ResponseWriter, err error) {
	body, status := describe(err)
	reply(w, status, body)
}

// reply writes one body. An error means that the client has gone, which is its own affair.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// parseBody reads one JSON value without unknown fields.
func parseBody(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value in the body", ErrBadRequest)
	}
	return nil
}
