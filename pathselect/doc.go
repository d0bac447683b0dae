// Package pathselect chooses, from the measured paths to one peer, the one that carries data, those that stand by,
// and those that carry copies for each class of traffic; and says why. It knows neither sockets nor probes.
//
//	measured paths ──┐
//	class of traffic ┼─▶ Algorithm: all paths in order, a cost each, in ms ──▶ Selector: what to do about it ──▶ Selection
//	policy ──────────┘
//
// An Algorithm orders the paths and remembers nothing. The Selector holds what is the same for all algorithms:
//
//   - Failures are acted on at once. While the selected path is suspect, the best standby carries copies; when it is
//     dead, the best path that works takes over in the same Step: among equals at random, since others lose theirs at the
//     same time.
//   - Improvements are not. A path must be cheaper than the selected one by a margin (a time) and a ratio (a part of its cost), in its
//     smoothed and in its latest figures, for a hold time that is drawn at random, and through several samples that are
//     younger than the claim: a queue in front of all paths shows up last on those that are probed least. The one under
//     such a claim is named in Selection.Trial, to be probed at the full rate so that both are measured alike.
//     Great loss shortens the hold time; relays under load make it longer. A small gain is taken when it has lasted.
//   - The direct path wins ties, since a relayed one spends somebody else's bandwidth.
//   - A path that died, or was left for its loss, must prove itself before it replaces a working one, each time longer,
//     in the manner of route flap damping (RFC 2439). If nothing else works it is used all the same.
//   - What users wish, and quarantines, bar paths: those are used if nothing else works, and not even then if a wish is
//     strict.
//   - Critical traffic is copied to the path that shares least with the selected one, interactive traffic while there is
//     trouble near an end, bulk never.
//
// A Shadow runs another algorithm on the same measurements and adds up what it would have saved.
//
// Only the outgoing direction matters here. The peer chooses the other one.
package pathselect
