package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/cli"
	"overlayd/internal/control"
)

func newPing(s *session) *cobra.Command {
	p := pinger{session: s, interval: time.Second, timeout: 2 * time.Second}
	var via string
	cmd := &cobra.Command{
		Use:   "ping PEER",
		Short: "Measure round trips to a peer, on the path in use or on one of your choice",
		Args:  args(1, 1, "one peer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.request.Peer = args[0]
			switch {
			case p.count < 0:
				return cli.Usagef("--count %d is less than nothing: take 0 to go on until interrupted", p.count)
			case p.interval <= 0:
				return cli.Usagef("--interval %s is not a time to wait: take 1s", cli.FormatDuration(p.interval))
			case p.timeout <= 0:
				return cli.Usagef("--timeout %s is not a time to wait: take 2s", cli.FormatDuration(p.timeout))
			}
			if cmd.Flags().Changed("via") {
				relays, err := parseVia(via)
				if err != nil {
					return err
				}
				p.request.Via = relays
			}
			p.request.Timeout = control.Duration(p.timeout)
			return p.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&via, "via", "", "`relays` to go through, in order and with commas, or the word direct")
	flags.IntVarP(&p.count, "count", "c", 5, "`number` of pings; 0 goes on until interrupted")
	flags.VarP((*cli.Duration)(&p.interval), "interval", "i", "`time` between two pings")
	flags.Var((*cli.Duration)(&p.timeout), "timeout", "`time` to wait for an answer")
	return cmd
}

// direct is what --via says for the path without relays.
const direct = "direct"

func parseVia(text string) ([]string, error) {
	if text == direct || text == "" {
		return []string{}, nil
	}
	relays := strings.Split(text, ",")
	for i := range relays {
		relays[i] = strings.TrimSpace(relays[i])
	}
	if slices.Contains(relays, "") || slices.Contains(relays, direct) {
		return nil, cli.Usagef("--via %q is neither relays with commas between them nor the word direct", text)
	}
	return relays, nil
}

// pinger pings one peer.
type pinger struct {
	*session
	request           control.PingRequest
	count             int
	interval, timeout time.Duration
	answers           []pingAnswer
}

// pingAnswer is one row of the output.
type pingAnswer struct {
	Seq      int             `json:"seq"`
	Via      *control.Via    `json:"via"` // null: no answer
	Endpoint string          `json:"endpoint,omitempty"`
	RTT      *control.Millis `json:"rtt_ms"`
	Error    string          `json:"error,omitempty"`
}

// pingSummary is the whole output in JSON.
type pingSummary struct {
	Peer     string                   `json:"peer"`
	Sent     int                      `json:"sent"`
	Answered int                      `json:"answered"`
	Min      *control.Millis          `json:"min_ms"`
	Mean     *control.Millis          `json:"avg_ms"`
	Max      *control.Millis          `json:"max_ms"`
	Spread   *control.Millis          `json:"mdev_ms"`
	Answers  control.List[pingAnswer] `json:"answers"`
}

func (p *pinger) run(ctx context.Context) error {
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	for seq := 1; p.count == 0 || seq <= p.count; seq++ {
		a, err := p.once(ctx, seq)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		p.answers = append(p.answers, a)
		if err := p.show(a); err != nil {
			return err
		}
		if seq == p.count {
			break
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	return p.summarise()
}

// once is one ping. That nothing came back is an answer too; an error is what more pings would not change.
func (p *pinger) once(ctx context.Context, seq int) (pingAnswer, error) {
	r, err := p.client.Ping(ctx, p.request)
	switch {
	case errors.Is(err, control.ErrNoAnswer), errors.Is(err, control.ErrNoPath):
		return pingAnswer{Seq: seq, Error: err.Error()}, nil
	case err != nil:
		return pingAnswer{}, err
	}
	return pingAnswer{Seq: seq, Via: &r.Via, Endpoint: r.Endpoint, RTT: r.RTT}, nil
}

func (p *pinger) show(a pingAnswer) error {
	if p.json() {
		return nil
	}
	if a.Via == nil {
		return p.screen.print(fmt.Sprintf("seq=%d %s\n", a.Seq, clean(a.Error)))
	}
	return p.screen.print(fmt.Sprintf("answer from %s %s: seq=%d time=%s\n",
		clean(p.request.Peer), clean(way(*a.Via, a.Endpoint)), a.Seq, millis(a.RTT)))
}

// way is the path that an answer took.
func way(via control.Via, endpoint string) string {
	if len(via) == 0 {
		return "directly (" + endpoint + ")"
	}
	return "via " + control.ViaString(via)
}

// summarise prints the end, and fails if nothing was answered.
func (p *pinger) summarise() error {
	sum := summary(p.request.Peer, p.answers)
	if p.json() {
		if err := p.screen.printJSON(sum, false); err != nil {
			return err
		}
	} else if err := p.screen.print(summaryText(sum)); err != nil {
		return err
	}
	if sum.Answered == 0 {
		return cli.Exit(cli.ExitNoPath, errSilent)
	}
	return nil
}

func summary(peer string, answers []pingAnswer) pingSummary {
	sum := pingSummary{Peer: peer, Sent: len(answers), Answers: answers}
	var times []float64
	for _, a := range answers {
		if a.RTT != nil {
			times = append(times, float64(*a.RTT))
		}
	}
	if sum.Answered = len(times); sum.Answered == 0 {
		return sum
	}
	total, squares := 0.0, 0.0
	for _, t := range times {
		total += t
		squares += t * t
	}
	mean := total / float64(len(times))
	spread := math.Sqrt(max(squares/float64(len(times))-mean*mean, 0))
	known := func(ms float64) *control.Millis { return control.MillisOf(control.Millis(ms).Duration()) }
	sum.Min, sum.Mean, sum.Max, sum.Spread = known(slices.Min(times)), known(mean), known(slices.Max(times)), known(spread)
	return sum
}

func summaryText(sum pingSummary) string {
	loss := 0.0
	if sum.Sent > 0 {
		loss = 100 * float64(sum.Sent-sum.Answered) / float64(sum.Sent)
	}
	text := fmt.Sprintf("\n--- %s ---\n%d sent, %d answered, %.0f%% lost\n", clean(sum.Peer), sum.Sent, sum.Answered, loss)
	if sum.Answered > 0 {
		text += fmt.Sprintf("round trip min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", *sum.Min, *sum.Mean, *sum.Max, *sum.Spread)
	}
	return text
}
