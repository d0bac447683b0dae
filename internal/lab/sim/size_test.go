package sim

import (
	"os"
	"strconv"
)

// crowdSize is how many nodes the large scenarios have: fewer where all tests run.
func crowdSize() int {
	if n, err := strconv.Atoi(os.Getenv("OVERLAYD_SIM_NODES")); err == nil {
		return n
	}
	return 200
}
