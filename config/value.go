package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
)

// valueError is a value that does not fit its setting.
type valueError struct {
	key string // of the setting, if it is known here
	err error
}

func (e *valueError) Error() string { return e.err.Error() }
func (e *valueError) Unwrap() error { return e.err }

func bad(key, format string, args ...any) error {
	return &valueError{key: key, err: fmt.Errorf(format, args...)}
}

// decoder makes mapstructure strict: every scalar becomes text, and text becomes a value by the parser of its type, so
// that a flag, a variable and a key of the file mean the same.
func decoder(dc *mapstructure.DecoderConfig) {
	dc.WeaklyTypedInput = false
	dc.DecodeHook = mapstructure.DecodeHookFuncType(decode)
}

func decode(from, to reflect.Type, data any) (any, error) {
	if from == to {
		return data, nil // text, or what decodeList made
	}
	if to == reflect.TypeFor[[]netip.AddrPort]() {
		return decodeList(data)
	}
	if to.Kind() == reflect.Struct && to != reflect.TypeFor[netip.AddrPort]() {
		return data, nil // a group
	}
	text, err := scalar(data)
	if err != nil {
		return nil, err
	}
	switch to {
	case reflect.TypeFor[netip.AddrPort]():
		return parseListen(text)
	case reflect.TypeFor[time.Duration]():
		return parseDuration(text)
	case reflect.TypeFor[slog.Level]():
		return parseLevel(text)
	case reflect.TypeFor[int]():
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, bad("", "%q is not a whole number", text)
		}
		return n, nil
	case reflect.TypeFor[float64]():
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, bad("", "%q is not a number", text)
		}
		return f, nil
	case reflect.TypeFor[RelayMode]():
		return oneOf(text, RelayAuto, RelayNever, RelayAlways)
	case reflect.TypeFor[LogFormat]():
		return oneOf(text, LogText, LogJSON)
	case reflect.TypeFor[Algorithm]():
		return oneOf(text, AlgorithmBalanced)
	}
	return text, nil
}

// scalar is a single value as text.
func scalar(data any) (string, error) {
	switch v := data.(type) {
	case string:
		return v, nil
	case int, int64, uint64, float64, bool:
		return fmt.Sprint(v), nil
	case []any, []string:
		return "", bad("", "a list stands where one value belongs")
	default:
		return "", bad("", "one value belongs here, such as a word or a number")
	}
}

// decodeList takes a list, or text with commas as a variable holds it.
func decodeList(data any) ([]netip.AddrPort, error) {
	var items []string
	switch v := data.(type) {
	case nil:
	case string:
		items = strings.Split(v, ",")
	case []string:
		items = v
	case []any:
		for _, e := range v {
			text, err := scalar(e)
			if err != nil {
				return nil, err
			}
			items = append(items, text)
		}
	default:
		return nil, bad("", "a list of ADDRESS:PORT belongs here")
	}
	var list []netip.AddrPort
	for _, item := range items {
		ap, err := netip.ParseAddrPort(strings.TrimSpace(item))
		if err != nil || ap.Addr().IsUnspecified() || ap.Port() == 0 {
			return nil, bad("", "%q is not ADDRESS:PORT, such as 203.0.113.7:%d or [2001:db8::7]:%d",
				item, DefaultPort, DefaultPort)
		}
		list = append(list, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
	}
	return list, nil
}

// parseListen reads ADDRESS:PORT or :PORT; without an address it is the unspecified one of IPv6, which stands for every
// address of both families.
func parseListen(text string) (netip.AddrPort, error) {
	full := text
	if strings.HasPrefix(text, ":") {
		full = "[::]" + text
	}
	ap, err := netip.ParseAddrPort(full)
	if err != nil {
		return netip.AddrPort{}, bad("", "%q is not ADDRESS:PORT, such as :%d or 192.0.2.1:%d",
			text, DefaultPort, DefaultPort)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, bad("", "%q is not a time with its unit, such as 100ms or 20s", text)
	}
	return d, nil
}

func parseLevel(text string) (slog.Level, error) {
	name, err := oneOf(strings.ToLower(text), "debug", "info", "warn", "error")
	if err != nil {
		return 0, err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return 0, bad("", "%w", err)
	}
	return level, nil
}

func oneOf[T ~string](text string, allowed ...T) (T, error) {
	if slices.Contains(allowed, T(text)) {
		return T(text), nil
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	last := len(words) - 1
	if last == 0 {
		return "", bad("", "%q is not known: take %s", text, words[0])
	}
	return "", bad("", "%q is not %s or %s", text, strings.Join(words[:last], ", "), words[last])
}

// Bounds of single settings.
const (
	minMTU       = 1280 // the least that IPv6 allows (RFC 8200, section 5)
	maxMTU       = 65000
	maxSocketLen = 107 // sun_path of unix(7) less its final zero
	maxIfnameLen = 15  // IFNAMSIZ less its final zero
	minInterval  = 10 * time.Millisecond
	maxInterval  = 5 * time.Minute
	minHold      = 100 * time.Millisecond
	maxHold      = time.Minute
	minMargin    = 100 * time.Microsecond
	maxMargin    = time.Second
	minRatio     = 0.01
	maxRatio     = 1
)

var nodeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// check holds a decoded Config against its bounds.
func check(c *Config) error {
	switch {
	case c.State == "":
		return bad("state", "a directory is needed")
	case c.Socket == "" || len(c.Socket) > maxSocketLen:
		return bad("socket", "a path of 1 to %d bytes is needed, this has %d", maxSocketLen, len(c.Socket))
	case !validInterface(c.Interface):
		return bad("interface", "%q is no name for an interface: take 1 to %d letters, digits, - or _",
			c.Interface, maxIfnameLen)
	case c.Name != "" && !nodeName.MatchString(c.Name):
		return bad("name", "%q is no name for a node: take up to 63 small letters, digits and inner hyphens", c.Name)
	case c.MTU < minMTU || c.MTU > maxMTU:
		return bad("mtu", "%d is out of range: choose %d to %d", c.MTU, minMTU, maxMTU)
	case len(c.Endpoints) > MaxEndpoints:
		return bad("endpoints", "%d are too many: give at most %d", len(c.Endpoints), MaxEndpoints)
	case !(c.Select.Ratio >= minRatio && c.Select.Ratio <= maxRatio): // also catches NaN
		return bad("select::ratio", "%g is out of range: choose %g to %g", c.Select.Ratio, minRatio, float64(maxRatio))
	}
	if err := checkRange("select::hold", c.Select.Hold, minHold, maxHold); err != nil {
		return err
	}
	if err := checkRange("select::margin", c.Select.Margin, minMargin, maxMargin); err != nil {
		return err
	}
	return checkIntervals(c.Probe)
}

func checkIntervals(p Probe) error {
	rows := []struct {
		key string
		d   time.Duration
	}{
		{"probe::selected", p.Selected}, {"probe::standby", p.Standby}, {"probe::recent", p.Recent}, {"probe::idle", p.Idle},
	}
	for i, r := range rows {
		if err := checkRange(r.key, r.d, minInterval, maxInterval); err != nil {
			return err
		}
		if i > 0 && r.d < rows[i-1].d {
			return bad(r.key, "%v is shorter than %s, which is %v: make it at least as long",
				r.d, dotted(rows[i-1].key), rows[i-1].d)
		}
	}
	return nil
}

func checkRange(key string, d, least, most time.Duration) error {
	if d < least || d > most {
		return bad(key, "%v is out of range: choose %v to %v", d, least, most)
	}
	return nil
}

func validInterface(name string) bool {
	if name == "" || len(name) > maxIfnameLen {
		return false
	}
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && !(r >= '0' && r <= '9') && r != '-' && r != '_' {
			return false
		}
	}
	return true
}
