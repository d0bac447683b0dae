// Package study runs path-selection algorithms through networks that somebody has measured: production cores in the
// simulator, on an underlay with the round-trip times of a matrix, against an oracle that knows the best paths.
//
//	study file ─▶ matrix ─▶ sim.Net of node.Core ─▶ which paths are in use, each second ─▶ Report: regret, switches,
//	                 └────▶ matrix.Oracle ───────────────────────┘                          outage, traffic
//
// Regret is by which part the path in use costs more than the best one with up to two relays, both by the algorithm's own
// price and the true round-trip times. docs/algorithms.md describes the files.
package study
