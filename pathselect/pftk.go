package pathselect

import (
	"math"
	"time"
)

// The model of TCP by J. Padhye, V. Firoiu, D. Towsley, J. Kurose (SIGCOMM 1998), as far as several algorithms use it.
const (
	pftkTimeout    = 3 * time.Second
	pftkAckedBy    = 2.0 // b: packets that one acknowledgement covers
	lossNegligible = 1e-6
)

// lossPenalty is the timeout term of the PFTK model in milliseconds.
func lossPenalty(p float64) float64 {
	if p < lossNegligible {
		return 0
	}
	p = min(p, 1)
	return millis(pftkTimeout) * timeouts(p)
}

// timeouts is the part of packets that wait for a timeout, in the PFTK model.
func timeouts(p float64) float64 {
	return min(1, 3*math.Sqrt(3*pftkAckedBy*p/8)) * p * (1 + 32*p*p)
}
