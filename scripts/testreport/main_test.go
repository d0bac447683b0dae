package main

import (
	"strings"
	"testing"
)

// said is what the report prints of a transcript of go test -json.
func said(t testing.TB, transcript string) string {
	t.Helper()
	var b strings.Builder
	r := newReport(&b)
	if err := r.read(strings.NewReader(transcript)); err != nil {
		t.Fatal(err)
	}
	r.finish()
	return b.String()
}

func TestSkippedTestsAreNamedWithTheirReason(t *testing.T) {
	got := said(t, `
{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: needs root: it makes namespaces\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"output","Package":"p","Test":"TestB","Output":"    a_test.go:9: chatter\n"}
{"Action":"pass","Package":"p","Test":"TestB","Elapsed":0}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.01s\n"}
{"Action":"pass","Package":"p","Elapsed":0.01}
`)
	want := "ok  \tp\t0.01s\n\nleft out:\n  needs root: it makes namespaces\n    p TestA\n\n1 tests passed, 0 failed, 1 left out\n"
	if got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestFailuresKeepTheirOutput(t *testing.T) {
	got := said(t, `
{"Action":"build-output","ImportPath":"q","Output":"q.go:1: undefined\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: seed 12\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"output","Package":"p","Test":"TestB","Output":"panic: all is lost\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.01s\n"}
{"Action":"fail","Package":"p","Elapsed":0.01}
`)
	for _, want := range []string{
		"q.go:1: undefined\n", "seed 12\n", "--- FAIL: TestA", "panic: all is lost\n", "FAIL\tp\t0.01s\n", "\n0 tests passed, 1 failed, 0 left out\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestOddOutputIsAnError(t *testing.T) {
	if err := newReport(&strings.Builder{}).read(strings.NewReader("{\n")); err == nil {
		t.Error("no error")
	}
}
