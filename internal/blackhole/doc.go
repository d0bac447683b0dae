// Package blackhole finds the paths to one peer that pass probes and not data, and decides when such a path is tried again.
//
// A path passes probes and drops data where a firewall or a middlebox tells them apart: by WireGuard's message type, by size,
// by rate. Nothing that probes measure shows it, so what counts is whether data arrives, by the peer's reports
// (probe.Passage), and whether probes of the size of the data do (Sizes).
//
//	                  1 packet missing             3 packets missing, for 1 s or more
//	┌───────┐        ┌──────────┐                 ┌─────────┐
//	│ Clear │───────▶│ Doubtful │────────────────▶│ Blocked │──── nothing is sent on it but copies:
//	└───────┘◀───────└──────────┘                 └─────────┘     trials, after 5, 10, 20 … 600 s
//	    ▲    data arrives                              │
//	    └──────────────────────────────────────────────┘
//	                 5 copies of a trial arrive, at most 1 is missing
//
// While one path is blocked, others to the peer may have the same fault, and most likely those that share its hosts and links.
// So each of them counts as Unproven until data has arrived on it since: it is used before a blocked path, but not before
// one that has been seen to carry data. Copies of data prove it, one path at a time.
package blackhole
