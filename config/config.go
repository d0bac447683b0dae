// Package config makes one validated value of the flags, the environment and the file that set up a daemon. It starts
// nothing and watches nothing.
//
//	flag  >  OVERLAYD_… variable  >  key in the file  >  default
//
// Every setting has all three forms, derived from one name: the key `level` in the group `log` is the flag --log-level
// and the variable OVERLAYD_LOG_LEVEL. What is unknown or out of range is an error of one sentence that names the
// place it came from; nothing is ignored, since a misspelt setting that is silently left out is found weeks later.
package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"overlayd/internal/wire"
)

// ErrInvalid is wrapped by every error of Load.
var ErrInvalid = errors.New("invalid configuration")

// Defaults that other commands need to find a daemon without its configuration.
const (
	DefaultFile      = "/etc/overlayd/overlayd.yaml"
	DefaultState     = "/var/lib/overlayd"
	DefaultSocket    = "/run/overlayd/overlayd.sock"
	DefaultPort      = 51871
	DefaultInterface = "overlay0"
	DefaultMTU       = 1400
	DefaultCopies    = "2M"
)

// TokenVariable may hold the token for overlayd join. It is no setting of the daemon, which ignores it.
const TokenVariable = "OVERLAYD_TOKEN"

// Config is the set-up of one daemon. It is a value: nobody changes it after Load.
type Config struct {
	File      string           `mapstructure:"-"`              // the file that was read; empty if there was none
	State     string           `mapstructure:"state"`          // directory of keys, certificates and members
	Socket    string           `mapstructure:"socket"`         // path of the control socket, at most 107 bytes
	Listen    netip.AddrPort   `mapstructure:"listen"`         // [::] is every address of both families, port 0 any free one
	Interface string           `mapstructure:"interface"`      // name of the TUN device, 1 to 15 bytes
	Name      string           `mapstructure:"name"`           // of this node where it makes a network; empty: the host's
	Create    CreateMode       `mapstructure:"create-network"` // where this node is not a member of a network yet
	MTU       int              `mapstructure:"mtu"`            // of the TUN device, bytes
	Endpoints []netip.AddrPort `mapstructure:"endpoints"`      // published besides those that are found, at most MaxEndpoints
	Relay     RelayMode        `mapstructure:"relay"`          // whether other members' packets may pass through this node

	RelayCeiling uint64            `mapstructure:"relay-ceiling"` // of what passes through for others, bit/s; 0: none
	Subnets      []netip.Prefix    `mapstructure:"subnets"`       // advertised, each as CheckSubnet wants it; at most MaxSubnets
	Gateways     []netip.Addr      `mapstructure:"gateway"`       // shared router addresses on attached LANs, within Subnets; at most MaxGateways
	Labels       map[string]string `mapstructure:"labels"`        // what this node says of itself; at most MaxLabels
	Classes      []ClassRule       `mapstructure:"classes"`       // the first one that is met counts; at most MaxClasses
	Copies       uint64            `mapstructure:"copies"`        // of critical packets, to one peer, bit/s; at least 10,000

	Log    Log    `mapstructure:"log"`
	Probe  Probe  `mapstructure:"probe"`
	Select Select `mapstructure:"select"`
}

// Bounds of lists; MaxSubnets stands in subnet.go, MaxClasses in classes.go.
const (
	MaxEndpoints  = 8
	MaxGateways   = 4
	MaxLabels     = 4
	MaxLabelKey   = 16 // bytes
	MaxLabelValue = 32 // bytes
)

// Log says what is logged, and how.
type Log struct {
	Level  slog.Level `mapstructure:"level"`
	Format LogFormat  `mapstructure:"format"`
}

// Probe holds the intervals between two probes on one path, by what the path is for (D7, D8 of the design). Each is at
// least as long as the one before it.
type Probe struct {
	Selected time.Duration `mapstructure:"selected"` // of the path that carries data
	Standby  time.Duration `mapstructure:"standby"`  // of the paths that would take over
	Recent   time.Duration `mapstructure:"recent"`   // to a peer that had data lately
	Idle     time.Duration `mapstructure:"idle"`     // to all others; keeps NAT mappings open
}

// Select holds what makes one path better than another (D9 of the design). Failures bypass all of it.
type Select struct {
	Algorithm Algorithm       `mapstructure:"algorithm"` // for all classes of traffic that are not in Classes
	Classes   ClassAlgorithms `mapstructure:"classes"`   // for single classes
	Shadow    Algorithm       `mapstructure:"shadow"`    // runs beside Algorithm and moves nothing; empty: none
	Hold      time.Duration   `mapstructure:"hold"`      // a better path must stay better for at least so long
	Margin    time.Duration   `mapstructure:"margin"`    // and be better by at least this time
	Ratio     float64         `mapstructure:"ratio"`     // and by this part of the cost of the path in use
}

// RelayMode says whether a node carries packets between other members.
type RelayMode string

// The relay modes.
const (
	RelayAuto   RelayMode = "auto"   // within bounds, and less willingly under load
	RelayNever  RelayMode = "never"  // refuse every circuit
	RelayAlways RelayMode = "always" // publish no load, so that others choose this node freely
)

// CreateMode says whether a node that is not a member of a network makes one of its own.
type CreateMode string

// The modes of creating a network.
const (
	CreateAuto   CreateMode = "auto"   // where a person starts it: not under a service manager
	CreateAlways CreateMode = "always" // whenever there is none
	CreateNever  CreateMode = "never"
)

// LogFormat is the form of a line of the log.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text" // key=value
	LogJSON LogFormat = "json" // one object a line
)

// Algorithm names a path-selection algorithm, one of pathselect.Names.
type Algorithm string

// ClassAlgorithms are the algorithms of single classes of traffic.
type ClassAlgorithms map[wire.TrafficClass]Algorithm
