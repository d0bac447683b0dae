package pathselect

// tier is whether a path may be used at all before others, whatever they cost. A path of a lower tier is always taken before
// one of a higher tier, if it works.
type tier uint8

const (
	free     tier = iota
	unproven      // it may not pass data, as another path to this peer does not
	barred        // by a wish, or since a relay of it is in quarantine
	blocked       // it does not carry what is sent
)

// tierOf is the tier of a path that an algorithm bars, or not, and why it is not free.
func tierOf(p *Path, bar string, strict bool) (tier, string) {
	switch {
	case strict:
		return barred, bar
	case p.Blocked != "":
		return blocked, p.Blocked
	case bar != "":
		return barred, bar
	case p.Unproven != "":
		return unproven, p.Unproven
	default:
		return free, ""
	}
}
