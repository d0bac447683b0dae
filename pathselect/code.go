package pathselect

import "fmt"

var codeNames = [...]string{
	NoPath: "no-path", First: "first", Died: "died", Removed: "removed", Faster: "faster", Cleaner: "cleaner",
	AsGood: "as-good", NothingElse: "nothing-else", Barred: "barred", Lighter: "lighter", Cheaper: "cheaper", CutOff: "cut-off",
	Returned: "returned",
	Stopped:  "data-stopped",
}

// String is the code as programs read it.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code-%d", uint8(c))
}
