package config

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"overlayd/pathselect"
)

// keyDelimiter separates group and key inside viper; its default, a dot, would split keys that hold addresses.
const keyDelimiter = "::"

const envPrefix = "OVERLAYD_"

// setting is one row of the configuration.
type setting struct {
	key   string // as viper knows it
	value string // default; empty is none
	list  bool
	usage string // what pflag prints; the word in back quotes is the form of the value

	choices []string // the values that it takes, if they can be listed
}

func (s setting) flag() string { return strings.ReplaceAll(s.key, keyDelimiter, "-") }
func (s setting) env() string  { return envName(s.flag()) }

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// dotted is a key as people write it in a sentence.
func dotted(key string) string { return strings.ReplaceAll(key, keyDelimiter, ".") }

// configFlag names the file itself: a flag and a variable, but no key.
const configFlag = "config"

// settings lists every setting. README.md documents the same rows, and a test compares them.
func settings() []setting {
	algorithms := pathselect.Names()
	return []setting{
		{key: "state", value: DefaultState, usage: "`directory` of keys, certificates and members"},
		{key: "socket", value: DefaultSocket, usage: "`path` of the control socket"},
		{
			key: "listen", value: fmt.Sprintf(":%d", DefaultPort),
			usage: "underlay `address:port`; without an address every one of both families, port 0 takes any free one",
		},
		{key: "interface", value: DefaultInterface, usage: "`name` of the TUN device"},
		{key: "name", usage: "`name` of this node where up makes a network of one (default: that of the host)"},
		{
			key: "create-network", value: string(CreateAuto),
			usage: "make a network of one where this node is in none: `auto|always|never`; auto does unless a service manager starts it",
		},
		{key: "mtu", value: fmt.Sprint(DefaultMTU), usage: "MTU of the TUN device in `bytes`"},
		{
			key: "endpoints", list: true,
			usage: "`address:port,…` to publish besides those that are found, for a port forwarded by hand",
		},
		{key: "relay", value: string(RelayAuto), usage: "carry packets of other members: `auto|never|always`"},
		{
			key:   "relay-ceiling",
			usage: "`bits` a second that are carried for other members at most, such as 20M (default: no bound)",
		},
		{
			key: "subnets", list: true,
			usage: "`network,…` behind this node that the others may reach through it, such as 192.168.7.0/24",
		},
		{
			key: "gateway", list: true,
			usage: "`address,…` in these networks that hosts use as their router; the live one of several nodes answers for it",
		},
		{
			key: "labels", list: true,
			usage: "`key=value,…` to show beside this node's name, such as site=belmont,provider=comcast",
		},
		{
			key: "classes", list: true,
			usage: "`rule,…` for the class of packets, such as critical protocol=udp port=5060: " +
				"bulk, default, interactive or critical, then dscp, protocol, port, network or peer",
		},
		{
			key: "copies", value: DefaultCopies,
			usage: "`bits` a second of critical packets that are sent to one peer a second time at most",
		},
		{key: "log::level", value: "info", usage: "least important level that is logged: `debug|info|warn|error`"},
		{key: "log::format", value: string(LogText), usage: "form of the log: `text|json`"},
		{key: "probe::selected", value: "100ms", usage: "`interval` of probes on a path that carries data"},
		{key: "probe::standby", value: "250ms", usage: "`interval` of probes on a path that would take over"},
		{key: "probe::recent", value: "1s", usage: "`interval` of probes to a peer that had data lately"},
		{key: "probe::idle", value: "25s", usage: "`interval` of probes to all other peers"},
		{
			key: "select::algorithm", value: pathselect.Default().Name(),
			usage:   "`algorithm` that prices a path: " + strings.Join(algorithms, "|"),
			choices: algorithms,
		},
		{
			key: "select::classes", list: true,
			usage: "`class=algorithm,…` for single classes of traffic, such as bulk=throughput",
		},
		{
			key: "select::shadow", usage: "`algorithm` that runs beside the one in use and only reports (default: none)",
			choices: algorithms,
		},
		{key: "select::hold", value: "1s", usage: "`time` that another path must be better before it is taken"},
		{key: "select::margin", value: "3ms", usage: "`time` by which it must be better at least"},
		{key: "select::ratio", value: "0.1", usage: "`part` of the cost of the path in use by which it must be better too, such as 0.1 or 10%"},
	}
}

// Flags registers the flags of all settings, and --config.
func Flags(fs *pflag.FlagSet) {
	fs.String(configFlag, DefaultFile, "configuration `file`; need not exist unless it is named")
	for _, s := range settings() {
		if s.list {
			fs.StringSlice(s.flag(), nil, s.usage)
			continue
		}
		fs.String(s.flag(), s.value, s.usage)
	}
}

// Choices lists the values of those flags that take one of a few, by flag, for shell completion.
func Choices() map[string][]string {
	choices := make(map[string][]string)
	for _, s := range settings() {
		if len(s.choices) > 0 {
			choices[s.flag()] = s.choices
		}
	}
	return choices
}
