package control

// Figures are what else is known of a path. What is nil is unknown.
type Figures struct {
	MinRTT       *Millis   `json:"rtt_min_ms,omitempty"`    // of the last minute or so
	P95RTT       *Millis   `json:"rtt_p95_ms,omitempty"`    // of the last 64 samples
	LossOutLow   *Fraction `json:"loss_out_low,omitempty"`  // what the loss towards the peer surely exceeds (99%)
	LossOutHigh  *Fraction `json:"loss_out_high,omitempty"` // what it surely does not exceed (99%)
	BurstOut     float64   `json:"burst_out,omitempty"`
	ReorderedOut *Fraction `json:"reordered_out,omitempty"`
	Rate         float64   `json:"rate_bps,omitempty"`   // bits of data a second that it carried when it was full; absent: not known
	Load         *Fraction `json:"load,omitempty"`       // of its busiest relay, as that says; null: direct, or not known
	Evidence     string    `json:"evidence,omitempty"`   // how data fares against probes
	Quarantine   string    `json:"quarantine,omitempty"` // why a relay of it is not trusted
}

// ClassChoice is the way of one class of traffic, where it differs from that of the default class.
type ClassChoice struct {
	Class     string `json:"class"`
	Algorithm string `json:"algorithm"`
	Via       *Via   `json:"via"`    // null: no path works
	Copies    *Via   `json:"copies"` // of the path that carries copies now; null: none
	Reason    string `json:"reason"`
}

// Shadow is what an algorithm that runs beside the one in use would have done and saved. Savings are means over the
// time compared; negative ones are losses.
type Shadow struct {
	Algorithm string   `json:"algorithm"`
	Via       *Via     `json:"via"` // it would use now; null: no path
	Switches  int      `json:"switches"`
	Compared  float64  `json:"compared_s"` // seconds
	Differed  float64  `json:"differed_s"` // of them, with another path
	RTTSaved  *Millis  `json:"rtt_saved_ms"`
	LossSaved Fraction `json:"loss_saved"`
	UpSaved   float64  `json:"up_saved_s"` // seconds that its path was up while the one in use was not, less the opposite
}
