package probe

import "math"

// fisher is the logarithm of the chance that of m probes and n data packets, of which together as many were lost as are
// here, no more than y of the lost ones are probes, if both are lost alike: R. A. Fisher's exact test of a table of two by
// two, one-sided ("The logic of inductive inference", J. Royal Statistical Society 98, 1935), which needs no assumption
// about the loss rate itself and holds for small numbers.
func fisher(n, x, m, y int) float64 {
	lost := x + y
	all := lnChoose(n+m, lost)
	sum := math.Inf(-1)
	for i := max(0, lost-n); i <= y; i++ {
		sum = logAdd(sum, lnChoose(m, i)+lnChoose(n, lost-i)-all)
	}
	return min(sum, 0)
}

// lnChoose is the logarithm of the number of ways to choose k of n.
func lnChoose(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	return lnFactorial(n) - lnFactorial(k) - lnFactorial(n-k)
}

func lnFactorial(n int) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}

// logAdd is the logarithm of the sum of two numbers given by theirs.
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// clustered are packets that are lost in clusters, as between two probes: sums over the clusters.
type clustered struct {
	clusters   float64
	sent, lost float64
	// Sums of squares and products of what was sent and lost in each cluster.
	sent2, both, lost2 float64
}

func (c *clustered) add(sent, lost float64) {
	c.sent += sent
	c.lost += lost
	if sent > 0 {
		c.clusters++
		c.sent2 += sent * sent
		c.both += sent * lost
		c.lost2 += lost * lost
	}
}

func (c *clustered) minus(d *clustered) clustered {
	return clustered{
		clusters: c.clusters - d.clusters, sent: c.sent - d.sent, lost: c.lost - d.lost,
		sent2: c.sent2 - d.sent2, both: c.both - d.both, lost2: c.lost2 - d.lost2,
	}
}

func (c *clustered) rate() float64 {
	if c.sent <= 0 {
		return 0
	}
	return min(max(c.lost/c.sent, 0), 1)
}

// effect is the design effect: how much more the losses of a cluster vary than if each packet were lost by itself. So
// many losses in a burst tell no more than one. To divide all numbers by it makes tests of independent losses valid:
// J. N. K. Rao and A. J. Scott, "A simple method for the analysis of clustered binary data", Biometrics 48 (1992). The
// variance is that of a ratio of cluster totals. An excess that is no larger than chance explains (two deviations of
// chi-square with as many degrees of freedom) is not counted.
func (c *clustered) effect() float64 {
	p := c.rate()
	binomial := p * (1 - p) * c.sent
	if c.clusters < 2 || binomial < 1e-9 {
		return 1
	}
	squares := c.lost2 - 2*p*c.both + p*p*c.sent2
	free := c.clusters - 1
	effect := squares * c.clusters / free / binomial
	return max(effect/(1+2*math.Sqrt(2/free)), 1)
}
