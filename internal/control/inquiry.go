package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// inquire routes the questions about the past, and about what might be.
func (s *Server) inquire(mux *http.ServeMux) {
	mux.Handle("GET /v1/history", answer(func(ctx context.Context, r *http.Request, _ []byte) (any, error) {
		q, err := historyQuery(r.URL.Query())
		if err != nil {
			return nil, err
		}
		return s.backend.History(ctx, q)
	}))
}

func (q HistoryQuery) values() url.Values {
	v := url.Values{}
	if q.Peer != "" {
		v.Set("peer", q.Peer)
	}
	if q.Since != 0 {
		v.Set("since", q.Since.String())
	}
	if q.Most != 0 {
		v.Set("most", strconv.Itoa(q.Most))
	}
	return v
}

func historyQuery(v url.Values) (q HistoryQuery, err error) {
	q = HistoryQuery{Peer: v.Get("peer"), Most: DefaultEvents}
	if text := v.Get("since"); text != "" {
		if q.Since, err = time.ParseDuration(text); err != nil || q.Since <= 0 {
			return q, fmt.Errorf("%w: since=%q is no time such as 2h", ErrBadRequest, text)
		}
	}
	if text := v.Get("most"); text != "" {
		if q.Most, err = strconv.Atoi(text); err != nil || q.Most < 1 || q.Most > MaxEvents {
			return q, fmt.Errorf("%w: most=%q is no number of events: take 1 to %d", ErrBadRequest, text, MaxEvents)
		}
	}
	return q, nil
}
