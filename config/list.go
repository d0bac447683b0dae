package config

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"overlayd/internal/wire"
)

// decodeList takes a list of what parse reads, or text with commas as a variable holds it.
func decodeList[T any](data any, form string, parse func(string) (T, error)) ([]T, error) {
	items, err := listItems(data, form)
	if err != nil {
		return nil, err
	}
	var list []T
	for _, item := range items {
		v, err := parse(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func listItems(data any, form string) ([]string, error) {
	switch v := data.(type) {
	case nil:
		return nil, nil
	case string:
		if v == "" {
			return nil, nil
		}
		return strings.Split(v, ","), nil
	case []string:
		return v, nil
	case []any:
		var items []string
		for _, e := range v {
			text, err := scalar(e)
			if err != nil {
				return nil, err
			}
			items = append(items, text)
		}
		return items, nil
	default:
		return nil, bad("", "a list of %s belongs here", form)
	}
}

func parseEndpoint(text string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(text)
	if err != nil || ap.Addr().IsUnspecified() || ap.Port() == 0 {
		return netip.AddrPort{}, bad("", "%q is not ADDRESS:PORT, such as 203.0.113.7:%d or [2001:db8::7]:%d",
			text, DefaultPort, DefaultPort)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

func parseSubnet(text string) (netip.Prefix, error) {
	p, err := ParseSubnet(text)
	if err != nil {
		return netip.Prefix{}, bad("", "%w", err)
	}
	return p, nil
}

func parseGateway(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, bad("", "%q is no address, such as 192.168.7.1", text)
	}
	return a.Unmap(), nil
}

// decodeLabels takes a list of KEY=VALUE; nil if it is empty.
func decodeLabels(data any) (map[string]string, error) {
	items, err := listItems(data, "KEY=VALUE")
	if err != nil {
		return nil, err
	}
	var labels map[string]string
	for _, item := range items {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		_, twice := labels[key]
		switch {
		case !ok:
			return nil, bad("", "%q is not KEY=VALUE, such as site=belmont", item)
		case twice:
			return nil, bad("", "%q is given twice: keep one of them", key)
		case key == "" || len(key) > MaxLabelKey || !printable(key) || strings.ContainsRune(key, ' '):
			return nil, bad("", "%q is no key for a label: take 1 to %d bytes of text without blanks", key, MaxLabelKey)
		case len(value) > MaxLabelValue || !printable(value):
			return nil, bad("", "%q is no value for a label: take at most %d bytes of text", value, MaxLabelValue)
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = value
	}
	return labels, nil
}

// decodeClassAlgorithms takes a list of CLASS=ALGORITHM; nil if it is empty.
func decodeClassAlgorithms(data any) (ClassAlgorithms, error) {
	items, err := listItems(data, "CLASS=ALGORITHM")
	if err != nil {
		return nil, err
	}
	var classes ClassAlgorithms
	for _, item := range items {
		name, algorithm, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return nil, bad("", "%q is not CLASS=ALGORITHM, such as bulk=throughput", item)
		}
		class, known := wire.ParseTrafficClass(name)
		if !known || class == wire.DefaultTraffic {
			return nil, bad("", "%q is no class of traffic here: take bulk, interactive or critical, and select.algorithm for all others", name)
		}
		if _, twice := classes[class]; twice {
			return nil, bad("", "%q is given twice: keep one of them", name)
		}
		a, err := parseAlgorithm(algorithm)
		if err != nil {
			return nil, err
		}
		if classes == nil {
			classes = make(ClassAlgorithms)
		}
		classes[class] = a
	}
	return classes, nil
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
