package sim

import (
	"os"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"
)

func TestGrowthProbe(t *testing.T) {
	count, _ := strconv.Atoi(os.Getenv("N"))
	if count == 0 {
		t.Skip()
	}
	if f, err := os.Create("/tmp/sim.prof"); err == nil {
		_ = pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	begin := time.Now()
	n, hosts := many(1, count)
	t.Logf("started after %v", time.Since(begin))
	for range 6 {
		begin = time.Now()
		before := uint64(0)
		for _, h := range hosts {
			before += h.Control
		}
		n.Run(10 * time.Second)
		after := uint64(0)
		for _, h := range hosts {
			after += h.Control
		}
		t.Logf("10 s took %v; %.2f kbit/s a node, %d contacts of one", time.Since(begin), float64(after-before)*8/10/1000/float64(count), len(hosts[0].table.Routes))
	}
}
