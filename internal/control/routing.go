package control

import (
	"context"
	"fmt"
	"net/http"
	"os/user"
	"strconv"
	"time"
)

// maxRouteFor bounds RouteRequest.For, so that its end is a year that JSON can write.
const maxRouteFor = 10 * 365 * 24 * time.Hour

type routesBody struct {
	Routes List[Route] `json:"routes"`
}

// routing routes what concerns the rules for paths.
func (s *Server) routing(mux *http.ServeMux) {
	mux.Handle("GET /v1/routes", answer(func(ctx context.Context, _ *http.Request, _ []byte) (any, error) {
		routes, err := s.backend.Routes(ctx)
		return routesBody{routes}, err
	}))
	mux.Handle("POST /v1/routes", answer(s.addRoute))
	mux.Handle("POST /v1/routes/remove", answer(s.removeRoute))
}

func (s *Server) addRoute(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var req RouteRequest
	if err := parseBody(body, &req); err != nil {
		return nil, err
	}
	if req.For < 0 || time.Duration(req.For) > maxRouteFor {
		return nil, fmt.Errorf("%w: a rule lasts longer than nothing and at most ten years: leave the time out for one that stays",
			ErrBadRequest)
	}
	req.By = userOf(r.Context())
	result, err := s.backend.AddRoute(ctx, req)
	if err != nil {
		return nil, err
	}
	for _, route := range result.Routes {
		s.log.Info("rule made", append(who(r), "rule", route.ID, "peer", route.Peer, "what", route.What)...)
	}
	return result, nil
}

func (s *Server) removeRoute(ctx context.Context, r *http.Request, body []byte) (any, error) {
	var req RouteRemoval
	if err := parseBody(body, &req); err != nil {
		return nil, err
	}
	if req.All == (len(req.IDs) > 0) {
		return nil, fmt.Errorf("%w: give the numbers of the rules to remove, or ask for all", ErrBadRequest)
	}
	removed, err := s.backend.RemoveRoute(ctx, req)
	if err != nil {
		return nil, err
	}
	for _, route := range removed {
		s.log.Info("rule removed", append(who(r), "rule", route.ID, "peer", route.Peer, "what", route.What)...)
	}
	return routesBody{removed}, nil
}

// userOf is what the host calls the user at the other end; empty if the kernel did not say.
func userOf(ctx context.Context) string {
	c, known := credentialsFrom(ctx)
	if !known {
		return ""
	}
	uid := strconv.FormatUint(uint64(c.uid), 10)
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "user " + uid
}
