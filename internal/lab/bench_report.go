package lab

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/meter"
)

// Spread is the distribution of a measured quantity.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Count  int     `json:"count"`
}

func spreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return Spread{}
	}
	return Spread{meter.Quantile(sorted, 0.5), sorted[0], sorted[len(sorted)-1], len(sorted)}
}

// BenchReport is what Bench found. Rates are goodput in bits a second; CPU is seconds per 10⁹ bytes of goodput.
type BenchReport struct {
	Kernel    Spread `json:"kernel_bit_s"`    // forwarding in the kernel, no tunnel
	WireGuard Spread `json:"wireguard_bit_s"` // wireguard-go alone
	Direct    Spread `json:"direct_bit_s"`    // overlayd, direct path
	Relayed   Spread `json:"relayed_bit_s"`   // overlayd, through a relay

	Ratio Spread `json:"direct_to_wireguard"` // of the two in the same round

	WireGuardCPU Spread `json:"wireguard_cpu_s_per_gb"` // both ends
	DirectCPU    Spread `json:"direct_cpu_s_per_gb"`    // both ends
	RelayCPU     Spread `json:"relay_cpu_s_per_gb"`     // the relay alone

	Idle []judge.Usage `json:"idle"` // before the first transfer
	Busy []judge.Usage `json:"busy"` // after the last
}

func newBenchReport(samples map[string][]sample) BenchReport {
	rates := func(name string) Spread {
		return spreadOf(column(samples[name], func(s sample) float64 { return s.rate }))
	}
	cpu := func(name string) Spread {
		return spreadOf(column(samples[name], func(s sample) float64 { return s.cpuPerGB }))
	}
	var ratios []float64
	for i, s := range samples["direct"] {
		ratios = append(ratios, s.rate/samples["wireguard"][i].rate)
	}
	return BenchReport{
		Kernel: rates("kernel"), WireGuard: rates("wireguard"), Direct: rates("direct"), Relayed: rates("relayed"),
		Ratio:        spreadOf(ratios),
		WireGuardCPU: cpu("wireguard"), DirectCPU: cpu("direct"), RelayCPU: cpu("relayed"),
	}
}

func column(samples []sample, f func(sample) float64) []float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, f(s))
	}
	return values
}

// The figures to reach, from docs/architecture.md.
const (
	wantRatio    = 0.9
	wantRelayCPU = 1.5
	wantMemory   = 40e6
)

// Print prints the figures, and how they compare with those to reach.
func (r BenchReport) Print(out io.Writer) {
	row := func(name string, s Spread, scale float64, unit, want string) []string {
		number := func(v float64) string { return fmt.Sprintf("%.3f", v/scale) }
		return []string{name, number(s.Median), number(s.Min), number(s.Max), unit, want}
	}
	want := func(text string, ok bool) string { return text + "  " + judge.Passed(ok) }
	judge.PrintTable(out, []string{"WHAT", "MEDIAN", "MIN", "MAX", "UNIT", "TO REACH"}, [][]string{
		row("TCP, kernel forwarding alone", r.Kernel, 1e9, "Gbit/s", ""),
		row("TCP, wireguard-go alone", r.WireGuard, 1e9, "Gbit/s", ""),
		row("TCP, overlayd direct", r.Direct, 1e9, "Gbit/s", ""),
		row("TCP, overlayd through a relay", r.Relayed, 1e9, "Gbit/s", ""),
		row("direct to wireguard-go alone", r.Ratio, 1, "ratio",
			want(fmt.Sprintf("≥ %.2f", wantRatio), r.Ratio.Median >= wantRatio)),
		row("CPU, wireguard-go, both ends", r.WireGuardCPU, 1, "s/GB", ""),
		row("CPU, overlayd direct, both ends", r.DirectCPU, 1, "s/GB", ""),
		row("CPU, the relay", r.RelayCPU, 1, "s/GB",
			want(fmt.Sprintf("≤ %.2f", wantRelayCPU), r.RelayCPU.Median <= wantRelayCPU)),
	})
	rows := make([][]string, 0, len(r.Idle))
	for i, idle := range r.Idle {
		target := ""
		if !strings.HasPrefix(idle.Node, "wireguard-go") {
			target = want(fmt.Sprintf("≤ %.0f MB idle", wantMemory/1e6), idle.Resident <= wantMemory)
		}
		megabytes := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }
		rows = append(rows, []string{
			idle.Node, megabytes(idle.Resident), megabytes(r.Busy[i].Resident), megabytes(r.Busy[i].Peak), target,
		})
	}
	judge.PrintTable(out, []string{"RESIDENT MEMORY, MB", "IDLE", "AT THE END", "PEAK", "TO REACH"}, rows)
}
