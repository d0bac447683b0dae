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
	mux.Handle("GET /v1/what-if", answer(func(ctx context.Context, r *http.Request, _ []byte) (any, error) {
		q, err := whatIfQuery(r.URL.Query())
		if err != nil {
			return nil, err
		}
		return s.backend.WhatIf(ctx, q)
	}))
}

func (q WhatIfQuery) values() url.Values {
	if q.Down != "" {
		return url.Values{"down": {q.Down}}
	}
	return url.Values{"cut": q.Cut[:]}
}

func whatIfQuery(v url.Values) (WhatIfQuery, error) {
	down, cut := v.Get("down"), v["cut"]
	if len(cut) == 2 && cut[0] != "" && cut[1] != "" && down == "" {
		return WhatIfQuery{Cut: [2]string(cut)}, nil
	}
	if len(cut) > 0 || down == "" {
		return WhatIfQuery{}, fmt.Errorf("%w: name either a node that is down, or the two ends of a link that is cut", ErrBadRequest)
	}
	return WhatIfQuery{Down: down}, nil
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
