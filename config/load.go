package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// maxFileLen bounds what is read of a configuration file, in bytes.
const maxFileLen = 1 << 20

// loader holds the three sources while one Config is made of them.
type loader struct {
	flags *pflag.FlagSet
	env   map[string]string // by variable, those of ours only
	file  string            // empty if none was read
	v     *viper.Viper
	keys  map[string]bool // keys that the file sets
}

// Load makes the Config of parsed flags (registered by Flags, among others) and of an environment as os.Environ gives
// it, in which an empty variable is an absent one. The default file may be absent; one that is named may not. Every
// error wraps ErrInvalid and says in one sentence what to change.
func Load(flags *pflag.FlagSet, environ []string) (Config, error) {
	l := loader{flags: flags, env: ours(environ), v: viper.NewWithOptions(viper.KeyDelimiter(keyDelimiter))}
	c, err := l.load()
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return c, nil
}

func (l *loader) load() (Config, error) {
	if err := l.checkEnv(); err != nil {
		return Config{}, err
	}
	if err := l.readFile(); err != nil {
		return Config{}, err
	}
	for _, s := range settings() {
		flag := l.flags.Lookup(s.flag())
		if flag == nil {
			return Config{}, fmt.Errorf("flag --%s is not registered", s.flag())
		}
		if err := l.v.BindPFlag(s.key, flag); err != nil {
			return Config{}, fmt.Errorf("--%s: %w", s.flag(), err)
		}
		// viper reads variables from the process only; set as an override they rank above the file, and the flag keeps
		// its rank above them because it is not overridden where it is given.
		if value, ok := l.env[s.env()]; ok && !flag.Changed {
			l.v.Set(s.key, value)
		}
	}
	c := Config{File: l.file}
	if err := l.v.UnmarshalExact(&c, decoder); err != nil {
		return Config{}, l.explain(err)
	}
	if err := check(&c); err != nil {
		return Config{}, l.explain(err)
	}
	return c, nil
}

// ours picks the variables with our prefix that are not empty; the last of two wins, as in a process.
func ours(environ []string) map[string]string {
	env := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		if value == "" {
			delete(env, name)
			continue
		}
		env[name] = value
	}
	return env
}

func (l *loader) checkEnv() error {
	known := []string{envName(configFlag), TokenVariable}
	for _, s := range settings() {
		known = append(known, s.env())
	}
	for _, name := range sortedKeys(l.env) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("unknown variable %s in the environment: %s", name, suggest(name, known))
		}
	}
	return nil
}

// readFile reads the file into viper and holds its keys against the settings.
func (l *loader) readFile() error {
	path, named := l.filePath()
	text, err := readBounded(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s: create it, or leave out %s", path, l.source(configFlag, configFlag))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be read by this user: run as root, or change its mode", path)
	case err != nil:
		return fmt.Errorf("configuration file: %w", err)
	}
	l.file = path
	l.v.SetConfigType("yaml")
	if err := l.v.ReadConfig(bytes.NewReader(text)); err != nil {
		return fmt.Errorf("%s is not valid YAML: %s", path, yamlError(err))
	}
	return l.checkKeys()
}

// filePath is the file to read, and whether somebody named it.
func (l *loader) filePath() (path string, named bool) {
	flag := l.flags.Lookup(configFlag)
	if flag != nil && flag.Changed {
		return flag.Value.String(), true
	}
	if value, ok := l.env[envName(configFlag)]; ok {
		return value, true
	}
	return DefaultFile, false
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileLen+1))
	if err == nil && len(text) > maxFileLen {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxFileLen)
	}
	return text, err
}

// yamlError is the first line of a YAML error, without the prefixes of the libraries that it came through.
func yamlError(err error) string {
	var parse viper.ConfigParseError
	if errors.As(err, &parse) {
		err = parse.Unwrap()
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// checkKeys finds keys that are no setting. A group or a setting without a value, as it stays behind when its lines are
// commented out, counts as absent.
func (l *loader) checkKeys() error {
	l.keys = map[string]bool{}
	known := map[string]bool{}
	lists := map[string]bool{}
	groups := map[string]string{}
	var names []string
	for _, s := range settings() {
		known[s.key], lists[s.key] = true, s.list
		names = append(names, dotted(s.key))
		if group, key, ok := strings.Cut(s.key, keyDelimiter); ok && groups[group] == "" {
			groups[group] = key
		}
	}
	keys := l.v.AllKeys()
	slices.Sort(keys)
	for _, key := range keys {
		if known[key] {
			l.keys[key] = true
			continue
		}
		example, isGroup := groups[key]
		outer, _, _ := strings.Cut(key, keyDelimiter)
		switch {
		case lists[outer]:
			return fmt.Errorf("%q in %s takes a list: write it as [\"…\", \"…\"] on the same line", outer, l.file)
		case known[outer]:
			return fmt.Errorf("%q in %s takes one value: write it on the same line", outer, l.file)
		case isGroup && l.v.Get(key) == nil:
			continue
		case isGroup:
			return fmt.Errorf("%q in %s is a group: write its settings below it, indented, such as %q",
				key, l.file, example+": …")
		case known[strings.ReplaceAll(key, ".", keyDelimiter)]:
			group, rest, _ := strings.Cut(key, ".")
			return fmt.Errorf("unknown key %q in %s: write %q below %q, indented", key, l.file, rest+": …", group+":")
		}
		return fmt.Errorf("unknown key %q in %s: %s", dotted(key), l.file, suggest(dotted(key), names))
	}
	return nil
}

// source says where the value of a setting came from, in words that lead to it.
func (l *loader) source(key, flagName string) string {
	switch flag := l.flags.Lookup(flagName); {
	case flag != nil && flag.Changed:
		return "--" + flagName
	case l.env[envName(flagName)] != "":
		return envName(flagName)
	case l.keys[key]:
		return fmt.Sprintf("%q in %s", dotted(key), l.file)
	default:
		return "the default of --" + flagName
	}
}

// explain turns an error about a field into a sentence about the place that its value came from.
func (l *loader) explain(err error) error {
	var key string
	var field *mapstructure.DecodeError
	var bad *valueError
	switch {
	case errors.As(err, &bad) && bad.key != "":
		key, err = bad.key, bad.err
	case errors.As(err, &field):
		key, err = strings.ToLower(strings.ReplaceAll(field.Name(), ".", keyDelimiter)), field.Unwrap()
	default:
		return err
	}
	for _, s := range settings() {
		// an error inside a list is named after its index
		if s.key == key || strings.HasPrefix(key, s.key+"[") {
			return fmt.Errorf("%s: %w", l.source(s.key, s.flag()), err)
		}
	}
	return err
}
