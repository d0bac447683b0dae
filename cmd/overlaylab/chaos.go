package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/lab"
	"overlayd/internal/lab/chaos"
	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/netns"
	"overlayd/internal/lab/virtual"
)

// chaosRun is what the command chaos was asked for.
type chaosRun struct {
	first   uint64
	seeds   int
	real    bool
	length  time.Duration
	print   bool
	shrink  bool
	without []string
	verbose bool
	bin     string
	logs    string
}

func newChaos() *cobra.Command {
	var c chaosRun
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Throw all kinds of faults at ten nodes, and tell what broke",
		Long: `Draw scenarios from seeds, with all kinds of faults at once, run them in simulation, or with --real with daemons
in network namespaces, and check what must hold whatever the faults were (docs/scenarios.md, "Chaos"). A seed that
breaks something is printed with its time line and with the command that runs it again.`,
		Example: `  overlaylab chaos --seeds 200
  overlaylab chaos --seed 17 -v
  overlaylab chaos --seed 17 --print > chaos-17.yaml
  overlaylab chaos --seed 17 --shrink
  sudo overlaylab chaos --real --for 20m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.Uint64Var(&c.first, "seed", 1, "the first seed")
	f.IntVar(&c.seeds, "seeds", 1, "how many seeds")
	f.BoolVar(&c.real, "real", false, "with real daemons; needs root")
	f.DurationVar(&c.length, "for", 3*time.Minute, "with --real, how long a run takes")
	f.BoolVar(&c.print, "print", false, "print the scenario file of the seed, and run nothing")
	f.BoolVar(&c.shrink, "shrink", false, "leave out the faults without which the seed still breaks something, and print that file")
	f.StringSliceVar(&c.without, "without", nil, "leave out these `faults`, such as f3,f7")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "print the time line of every seed")
	f.StringVar(&c.bin, "bin", besideUs(), "with --real, directory of overlayd and overlayctl")
	f.StringVar(&c.logs, "logs", "", "with --real, keep the daemons' logs in this `directory`")
	return cmd
}

// simulationGC is by how many percent the heap of a simulation grows between two collections, to 130 MB at most so far: at 100 they
// take a sixth of its time.
const simulationGC = 400

func (c chaosRun) options() chaos.Options {
	o := chaos.Simulated()
	if c.real {
		o = chaos.Real(c.length)
	}
	o.Without = c.without
	return o
}

// again is the command that runs a seed once more.
func (c chaosRun) again(seed uint64) string {
	if c.real {
		return fmt.Sprintf("sudo bin/overlaylab chaos --real --for %v --seed %d -v", c.length, seed)
	}
	return fmt.Sprintf("bin/overlaylab chaos --seed %d -v", seed)
}

func (c chaosRun) run(ctx context.Context, out io.Writer) error {
	if c.print {
		_, err := io.WriteString(out, chaos.Text(c.first, c.options()))
		return err
	}
	if c.real && os.Geteuid() != 0 {
		return netns.ErrNotRoot
	}
	if !c.real && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(simulationGC)
	}
	if c.shrink {
		return c.cutDown(ctx, out)
	}
	jobs := runtime.GOMAXPROCS(0)
	if c.real {
		jobs = 1
	}
	var (
		group  sync.WaitGroup
		mu     sync.Mutex // guards what follows, and out
		next   = c.first
		failed []string
		broken error
	)
	for range jobs {
		group.Go(func() {
			for {
				mu.Lock()
				seed := next
				next++
				over := seed >= c.first+uint64(c.seeds) || broken != nil || ctx.Err() != nil
				mu.Unlock()
				if over {
					return
				}
				text, pass, err := c.once(ctx, seed)
				mu.Lock()
				io.WriteString(out, text)
				if err != nil {
					broken = err
				} else if !pass {
					failed = append(failed, fmt.Sprint(seed))
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	switch {
	case broken != nil:
		return broken
	case len(failed) > 0:
		slices.Sort(failed)
		return fmt.Errorf("%w: %d of %d seeds: %s", lab.ErrFailed, len(failed), c.seeds, strings.Join(failed, ", "))
	}
	fmt.Fprintf(out, "%d seeds: nothing broke\n", c.seeds)
	return ctx.Err()
}

// once runs a seed and tells what came of it.
func (c chaosRun) once(ctx context.Context, seed uint64) (text string, pass bool, err error) {
	s, err := chaos.Scenario(seed, c.options())
	if err != nil {
		return "", false, err
	}
	var line bytes.Buffer
	began := time.Now()
	var report judge.Report
	if c.real {
		report, err = lab.Run(ctx, s, lab.Options{Bin: c.bin, Logs: c.logs, Repeat: 1, Verbose: c.verbose, Out: &line})
	} else {
		report, err = virtual.Run(ctx, s, virtual.Options{Repeat: 1, Verbose: c.verbose, Out: &line})
	}
	pass = err == nil && report.Pass
	if err == nil {
		report.Print(&line)
	}
	summary := fmt.Sprintf("seed %d: %d expectations hold, in %.1f s\n", seed, len(s.Expect), time.Since(began).Seconds())
	if err != nil {
		summary = fmt.Sprintf("seed %d broke off: %v\nagain: %s\n", seed, err, c.again(seed))
	} else if !pass {
		summary = fmt.Sprintf("seed %d broke something\nagain: %s\n", seed, c.again(seed))
	}
	if pass && !c.verbose {
		return summary, true, nil
	}
	if err != nil && ctx.Err() == nil {
		return line.String() + summary, false, nil
	}
	return line.String() + summary, pass, err
}

// cutDown leaves out one fault after another, as long as what broke first still does, and prints what is left.
func (c chaosRun) cutDown(ctx context.Context, out io.Writer) error {
	wanted, err := c.breaks(ctx)
	if err != nil || len(wanted) == 0 {
		return err
	}
	fmt.Fprintf(out, "# breaks %s\n", strings.Join(wanted, ", "))
	faults := []string{"revoked", "hostile", "hostile1", "hostile2", "hostile3"}
	for i := range c.options().Faults {
		faults = append(faults, fmt.Sprintf("f%d", i+1))
	}
	for _, fault := range faults {
		all := c.without
		c.without = append(slices.Clone(all), fault)
		now, err := c.breaks(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(now, func(name string) bool { return slices.Contains(wanted, name) }) {
			c.without = all
		}
	}
	fmt.Fprintf(out, "# without %s\n%s", strings.Join(c.without, ","), chaos.Text(c.first, c.options()))
	return nil
}

// breaks are the expectations that the seed does not meet.
func (c chaosRun) breaks(ctx context.Context) ([]string, error) {
	s, err := chaos.Scenario(c.first, c.options())
	if err != nil {
		return nil, err
	}
	report, err := virtual.Run(ctx, s, virtual.Options{Repeat: 1})
	if err != nil {
		return []string{err.Error()}, ctx.Err()
	}
	var all []string
	for _, v := range report.Verdicts {
		if !v.Pass {
			all = append(all, v.Name)
		}
	}
	return all, nil
}
