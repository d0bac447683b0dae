// Package probe measures every path to one peer: whether it delivers, how long a packet takes, how many are lost in
// each direction, and whether data fares as probes do. It schedules the probes and never chooses a path.
//
// Each end probes each of its own paths and answers the other's probes. Every probe and every answer, on whatever
// path, carries a report of what was last heard on each of the receiver's paths, so each end learns which of its own
// outgoing directions deliver, even where the answers can not come back the same way.
//
//	       answered                 answer overdue                  4 or more probes overdue and,
//	+-----------+        +------+   (send quick probes,  +---------+ by the peer's own word, none   +------+
//	| Candidate |------->|  Up  |--- on standbys too) -->| Suspect |--- arrived; or no word at ---->| Dead |
//	+-----------+        +------+                        +---------+    all for a second            +------+
//	                       ^  ^                               |                                        |
//	                       |  +--- something sent after ------+                                        |
//	                       |       the overdue probe arrived                                           |
//	                       +--------------------- 3 probes in a row answered --------------------------+
//
// # Evidence
//
// What moves a path to Suspect is a probe that has neither been answered in time nor been overtaken: nothing that
// was sent at the same time or later is known to have arrived. "In time" is smoothed turnaround + max(4 deviations,
// floor), in the manner of RFC 6298. The turnaround is what is being waited for, so it includes the time that a busy
// peer holds a probe; the round-trip time that is reported excludes it (RFC 8762).
//
// Known to have arrived is what was sent up to the time Delivered, the latest of
//   - the sending of a probe that was answered, on any path,
//   - the sending of a probe that a report names as the last one heard,
//   - if a report's count of data packets advanced: the arrival of the last of them, less the delay of the path.
//
// The last holds a saturated path up: probes may wait behind 200 ms of queue, but while data goes on arriving the path
// is not dead. It does so for two seconds in which no probe arrives at all: data is counted before WireGuard looks at
// it, and whoever repeats what he once saw, in the sender's name, must not make a broken path look sound for ever. When such a report refutes a suspicion whose probe is still out, the wait was evidently too
// short; it is made longer for a while.
//
// Delays outward are known up to a constant, the difference between the two nodes' clocks, and the peer's reports
// carry its own time. So, both on the peer's clock, when a probe should have arrived and when the report was made
// compare exactly, without any assumption that a path takes as long forth as back. This makes explicit negative
// evidence possible: "by then four of my probes should have been there, and none was." With it, a path that data is
// being sent on is dead at once, and any other after a little longer (Config.DeadSilence), since a sudden queue
// looks the same at first and nobody is hurt by waiting. It is taken only if another path delivers what was sent
// after those probes: a queue that all paths go through is not held against one of them.
//
// Without any word from the peer, on whatever path, it takes a second: then nothing else works either; and when words
// come again after such a silence, only probes sent since then count.
//
// # Answers on other paths
//
// An answer goes back on the path that the probe came by and, unless the answerer regards its own outgoing direction
// of it as up, also on its best other path. An answer that came on another path is evidence like any other, but its
// timing is that of forward(p) + reverse(q); it enters the estimates of p only once p's own reverse direction has
// been silent for a few probes, and they start afresh then.
//
// # Data against probes
//
// A report also says how much data had arrived when the probe did that is answered, and which packet was the latest. So
// data is compared with the probes of the same time (evidence.go): lost while probes pass, lost while there is a queue,
// or held back so that probes overtake it. While that is in doubt on a path in use, it is probed quickly. The verdict is
// in Measurement.Data; it moves nothing by itself.
//
// # When we are the slow ones
//
// A process that was not scheduled for a while finds overdue answers waiting in its sockets. A tick that comes late,
// or a frame that waited long, puts off judging and probing by a few milliseconds so that the queue is digested
// first. An answer tells the state of knowledge at the time its probe was received, not when it was handled.
package probe
