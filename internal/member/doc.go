// Package member knows who exists: it holds the network's root key, the certificates that it signed, what every node
// says about itself, who is out and who is invited. It is pure: time and randomness are arguments, datagrams and files
// belong to the caller, and nothing is believed that is not signed.
//
//	root key ──signs──▶ settings (Network): name, IPv4 prefix
//	    │
//	    ├─────signs──▶ certificate of an admin ──signs──▶ certificate of a node
//	    └─────signs──▶ certificate of a node                     │ names two keys: WireGuard, signing
//	                                                             ▼
//	                   record: certificate, sequence, endpoints, relay consent, subnets, labels;
//	                           signed by the node itself, newest sequence wins
//
// Set replicates the records, and with them verdicts, invitations, settings and new certificates, by anti-entropy (set.go,
// message.go); who is a member follows from the verdicts (standing.go). Registrar signs for an admin: invitations, verdicts
// and certificates (registrar.go), of newcomers (admit.go) and of those whose time has come (attend.go). How newcomers ask
// for one is the matter of package join.
//
// Everything signed is an envelope, a CBOR array of two byte strings: payload, Ed25519 signature over a context string,
// a zero byte and the payload as received. The payload is a CBOR map with integer keys; unknown keys are ignored, so
// that later versions can add some.
package member
