package join

import (
	"errors"
	"fmt"
	"testing"

	"overlayd/internal/member"
)

func TestRefusalIsToldAsItWasMeant(t *testing.T) {
	reasons := []error{member.OtherNameError{Name: "cambridge"}}
	for _, r := range refusals() {
		reasons = append(reasons, r.err)
	}
	seen := map[status]bool{statusOK: true, statusRecord: true}
	for _, reason := range reasons {
		reply := refuse(fmt.Errorf("wrapped: %w", reason))
		if seen[reply.Status] {
			t.Errorf("%v has the status of another one", reason)
		}
		seen[reply.Status] = true
		if err := reply.refused("boston"); !errors.Is(err, reason) {
			t.Errorf("%v becomes %v", reason, err)
		}
	}
	if reply := refuse(errors.New("something else")); !errors.Is(reply.refused("boston"), ErrRefused) {
		t.Errorf("something else becomes %+v", reply)
	}
	later := replyBody{Status: 200}
	if err := later.refused("boston"); !errors.Is(err, ErrRefused) {
		t.Errorf("a status of a later version: %v", err)
	}
}
