package join

import (
	"errors"
	"fmt"

	"overlayd/internal/member"
)

// ErrRefused means that a member does not take the newcomer's record, or its keys.
var ErrRefused = errors.New("the network refused this node's record: check that the clocks of both are right")

// status is how an answer says whether the newcomer is refused, and why. One that is not known counts as statusRecord.
type status uint8

const (
	statusOK        status = 0
	statusUsed      status = 1
	statusExpired   status = 2
	statusTaken     status = 3
	statusName      status = 4
	statusOtherName status = 5
	statusFull      status = 6
	statusIssuer    status = 7
	statusRecord    status = 8
	statusRevoked   status = 9
	statusCancelled status = 10
	statusKey       status = 11
)

// refusals are what a Registrar says, as statuses. statusOtherName stands for a member.OtherNameError.
func refusals() [9]refusal {
	return [...]refusal{
		{statusUsed, member.ErrTokenUsed},
		{statusExpired, member.ErrTokenExpired},
		{statusCancelled, member.ErrTokenCancelled},
		{statusTaken, member.ErrNameTaken},
		{statusName, member.ErrName},
		{statusKey, member.ErrKeyTaken},
		{statusFull, member.ErrNoRoom},
		{statusIssuer, member.ErrInviter},
		{statusRevoked, member.ErrComeAnew},
	}
}

type refusal struct {
	status status
	err    error
}

// refuse is the answer to a newcomer whom the Registrar does not admit.
func refuse(err error) replyBody {
	var other member.OtherNameError
	if errors.As(err, &other) {
		return replyBody{Status: statusOtherName, Text: other.Name}
	}
	for _, r := range refusals() {
		if errors.Is(err, r.err) {
			return replyBody{Status: r.status}
		}
	}
	return replyBody{Status: statusRecord}
}

// refused is why the newcomer, who wants the name, is refused, in a sentence for the person who tried; nil if it is not.
func (b *replyBody) refused(name string) error {
	switch b.Status {
	case statusOK:
		return nil
	case statusOtherName:
		return member.OtherNameError{Name: b.Text}
	}
	for _, r := range refusals() {
		switch {
		case r.status != b.Status:
		case r.status == statusTaken, r.status == statusName:
			return fmt.Errorf("the name %q is refused: %w", name, r.err)
		default:
			return r.err
		}
	}
	return ErrRefused
}
