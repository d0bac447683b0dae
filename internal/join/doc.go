// Package join lets newcomers in: tokens, the newcomer's questions, and the door that answers them.
//
// An admin invites: the text of a Token goes to a person; its Lock, signed, goes to all members. So the newcomer may ask
// any of them.
//
//	newcomer                        door of any member                 door of an admin
//	   │ 1 my keys, the name ────────────▶│ has it the token?                 │
//	   │   that I want                    │── the same, in a Pass ───────────▶│ Registrar.Admit: signs,
//	   │                                  │◀─ certificate, sealed to ─────────│ stores, then answers
//	   │◀───────────── the same ──────────│   the newcomer's key              │
//	   │ 2 my record, signed under it ───▶│ stores it
//	   │◀────────── this member's record ─│
//	   │ 3 is there another member? ─────▶│
//	   │◀────────────────── its record ───│
//	   ▼                                    and 3 again, a few times
//	a member
//
// A member that is an admin answers 1 by itself. Joiner is the newcomer's side (joiner.go) and Door that of a member
// (door.go); Invite makes tokens (invite.go), and frame.go draws what is on the wire. Whom the network takes, package
// member decides.
//
// It is pure: time and randomness are arguments, and datagrams belong to the caller. Nobody without a token gets an
// answer, and no answer is larger than its question.
package join
