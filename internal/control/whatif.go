package control

// WhatIfQuery asks what would become of the paths without a node, or without a link between two. One of the two is given.
type WhatIfQuery struct {
	Down string    // name, identifier, or an address on the overlay
	Cut  [2]string // the same; this node may be one of the two
}

// WhatIf is what would become of the paths to all peers that there is contact with, by what is known now.
type WhatIf struct {
	Node  string        `json:"node"`
	Down  string        `json:"down,omitempty"`
	Cut   []string      `json:"cut,omitempty"`
	Peers List[Outlook] `json:"peers"` // by name
}

// Outcome is what would become of the path to a peer.
type Outcome string

// The outcomes.
const (
	OutcomeStays  Outcome = "stays"   // as it is: its path is not concerned
	OutcomeMoves  Outcome = "moves"   // to another path that works
	OutcomeSearch Outcome = "search"  // no path that was measured is left; relays would be looked for
	OutcomeCutOff Outcome = "cut-off" // no path is left, and nobody who could relay
	OutcomeDown   Outcome = "down"    // it is the node that is missing
	OutcomeDead   Outcome = "dead"    // no path works now, and none would
)

// Outlook is what would become of one peer.
type Outlook struct {
	Peer    string  `json:"peer"`
	Outcome Outcome `json:"outcome"`
	Now     *Path   `json:"now"`  // null: no path works
	Then    *Path   `json:"then"` // null: no path that was measured would work
	Why     string  `json:"why"`
}
