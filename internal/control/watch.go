package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

func (s *Server) paths(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	q := PathsQuery{Peer: params.Get("peer")}
	if !params.Has("watch") {
		answer(func(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
			return s.backend.Paths(ctx, q)
		}).ServeHTTP(w, r)
		return
	}
	interval := defaultWatch
	if text := params.Get("watch"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			fail(w, fmt.Errorf("%w: watch=%q is no time such as 1s", ErrBadRequest, text))
			return
		}
		interval = min(max(d, minWatch), maxWatch)
	}
	s.watch(w, r, q, interval)
}

// watch writes the paths at once and then every interval. An error of the first call is an ordinary failure; a later
// one ends the answer.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, q PathsQuery, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	rc := http.NewResponseController(w)
	untilClientLeaves(w)
	encoder := json.NewEncoder(w)
	for first := true; ; first = false {
		ctx, cancel := context.WithTimeout(r.Context(), backendTimeout)
		paths, err := s.backend.Paths(ctx, q)
		cancel()
		switch {
		case err != nil && first:
			fail(w, err)
			return
		case err != nil:
			return
		case first:
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
		if encoder.Encode(paths) != nil || rc.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}
