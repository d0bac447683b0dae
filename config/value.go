package config

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"

	"overlayd/internal/cli"
	"overlayd/pathselect"
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
		return data, nil // text, or what was made of a list
	}
	switch to {
	case reflect.TypeFor[[]netip.AddrPort]():
		return decodeList(data, "ADDRESS:PORT", parseEndpoint)
	case reflect.TypeFor[[]netip.Prefix]():
		return decodeList(data, "ADDRESS/LENGTH", parseSubnet)
	case reflect.TypeFor[[]netip.Addr]():
		return decodeList(data, "addresses", parseGateway)
	case reflect.TypeFor[map[string]string]():
		return decodeLabels(data)
	case reflect.TypeFor[ClassAlgorithms]():
		return decodeClassAlgorithms(data)
	case reflect.TypeFor[[]ClassRule]():
		return decodeClasses(data)
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
	case reflect.TypeFor[uint64]():
		return parseRate(text)
	case reflect.TypeFor[int]():
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, bad("", "%q is not a whole number", text)
		}
		return n, nil
	case reflect.TypeFor[float64]():
		return parsePart(text)
	case reflect.TypeFor[CreateMode]():
		return oneOf(text, CreateAuto, CreateAlways, CreateNever)
	case reflect.TypeFor[RelayMode]():
		return oneOf(text, RelayAuto, RelayNever, RelayAlways)
	case reflect.TypeFor[LogFormat]():
		return oneOf(text, LogText, LogJSON)
	case reflect.TypeFor[Algorithm]():
		if text == "" {
			return Algorithm(""), nil
		}
		return parseAlgorithm(text)
	}
	return text, nil
}

func parseAlgorithm(text string) (Algorithm, error) {
	if _, err := pathselect.Lookup(text); err != nil {
		return "", bad("", "%w", err)
	}
	return Algorithm(text), nil
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

// maxRate is far beyond any link; minRate is below what carries one full packet a second.
const (
	minRate = 10_000
	maxRate = 1e12
)

// parseRate reads bits a second; empty is 0, no bound.
func parseRate(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	number, unit := text, 1.0
	switch last := len(text) - 1; text[last] {
	case 'k', 'K':
		number, unit = text[:last], 1e3
	case 'M':
		number, unit = text[:last], 1e6
	case 'G':
		number, unit = text[:last], 1e9
	}
	f, err := strconv.ParseFloat(number, 64)
	rate := f * unit
	switch {
	case err != nil || math.IsNaN(rate):
		return 0, bad("", "%q is not bits a second, such as 20M: a number and at most one of k, M, G", text)
	case rate == 0:
		return 0, nil
	case rate < minRate || rate > maxRate:
		return 0, bad("", "%q is out of range: choose 10k to 1000G bits a second, or 0 for no bound", text)
	}
	return uint64(math.Round(rate)), nil
}

// parsePart reads a part of something, as a number or as a percentage.
func parsePart(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, bad("", "%q is not a part such as 0.1 or 10%%", text)
	}
	if percent {
		f /= 100
	}
	return f, nil
}

func parseDuration(text string) (time.Duration, error) {
	d, err := cli.ParseDuration(text)
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
