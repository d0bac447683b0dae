package main

import (
	"fmt"
	"strings"

	"overlayd/internal/control"
)

// figures is what is known of a path besides what has a column, in a few words.
func figures(f control.Figures) string {
	words := []string{fmt.Sprintf("rtt %s to %s", millis(f.MinRTT), millis(f.P95RTT))}
	if f.LossOutLow != nil && f.LossOutHigh != nil {
		words = append(words, fmt.Sprintf("loss %s to %s", percent(f.LossOutLow), percent(f.LossOutHigh)))
	}
	if f.BurstOut > 1 {
		words = append(words, fmt.Sprintf("in bursts of %.1f", f.BurstOut))
	}
	if f.ReorderedOut != nil && *f.ReorderedOut > 0 {
		words = append(words, percent(f.ReorderedOut)+" overtaken")
	}
	if f.Rate > 0 {
		words = append(words, fmt.Sprintf("carried %.1f Mbit/s", f.Rate/1e6))
	}
	if f.Load != nil && *f.Load > 0 {
		words = append(words, percent(f.Load)+" loaded")
	}
	return strings.Join(words, ", ")
}

// classesText is a line for each class of traffic that goes another way, or is sent twice.
func classesText(p control.PeerPaths) string {
	var b strings.Builder
	for _, class := range p.Classes {
		way := "no path"
		if class.Via != nil {
			way = control.ViaString(*class.Via)
		}
		if class.Copies != nil {
			way += ", and copies " + control.ViaString(*class.Copies)
		}
		fmt.Fprintf(&b, "  %s (%s): %s\n", class.Class, class.Algorithm, clean(way))
	}
	return b.String()
}

// shadowText is what the algorithm in the shadow would have done.
func shadowText(s *control.Shadow) string {
	if s == nil || s.Compared == 0 {
		return ""
	}
	way := "no path"
	if s.Via != nil {
		way = control.ViaString(*s.Via)
	}
	return clean(fmt.Sprintf("  %s in the shadow: %s; %d switches; another path for %.0f of %.0f s; saved %s a round trip, %.2f%% loss, %.1f s down",
		s.Algorithm, way, s.Switches, s.Differed, s.Compared, millis(s.RTTSaved), 100*float64(s.LossSaved), s.UpSaved)) + "\n"
}
