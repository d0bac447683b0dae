package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const example = "../scripts/overlayd.yaml"

func TestExampleFileIsTheDefaults(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	c, path, err := load(t, nil, nil, string(text))
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.File = path
	equal(t, want, c)
}

func TestExampleFileNamesEverySetting(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings() {
		line := "\n" + s.key + ":"
		if _, key, ok := strings.Cut(s.key, keyDelimiter); ok {
			line = "\n  " + key + ":"
		}
		if !strings.Contains(string(text), line) {
			t.Errorf("%s does not name %s", example, dotted(s.key))
		}
	}
}

func TestReadmeListsEverySettingWithItsDefault(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings() {
		value := ""
		if s.value != "" {
			value = "`" + s.value + "` "
		}
		row := fmt.Sprintf("| `%s` | `--%s` | `%s` | %s| ", dotted(s.key), s.flag(), s.env(), value)
		if !strings.Contains(string(text), "\n"+row) {
			t.Errorf("README.md lacks a row that begins %q", row)
		}
	}
}
