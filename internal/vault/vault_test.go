package vault

import (
	"bytes"
	"encoding/pem"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var cheap = cost{passes: 1, memory: 8, lanes: 1}

func charles() Network { return Network{Name: "charles", ID: "ffeeddccbbaa99887766554433221100"} }

func seedOf(n byte) (s [SeedLen]byte) {
	for i := range s {
		s[i] = n
	}
	return s
}

func sealed(t testing.TB, c cost) []byte {
	t.Helper()
	text, err := seal(seedOf(7), []byte("correct horse"), charles(), c, rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// altered is a sealed key whose block was changed, with a checksum that fits if it is to.
func altered(t testing.TB, fit bool, change func(*pem.Block)) []byte {
	t.Helper()
	block, _ := pem.Decode(sealed(t, cheap))
	change(block)
	if fit {
		body := block.Bytes[:bodyLen-checksumLen]
		copy(block.Bytes[len(body):], checksum(block.Headers, body))
	}
	return pem.EncodeToMemory(block)
}

func open(text []byte, passphrase string) ([SeedLen]byte, error) {
	f, err := Parse(text)
	if err != nil {
		return [SeedLen]byte{}, err
	}
	return f.Open([]byte(passphrase))
}

func TestWhatWasSealedOpens(t *testing.T) {
	text, err := Seal(seedOf(7), []byte("correct horse"), charles(), rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(text)
	if err != nil || f.Network != charles() || f.cost != recommended() {
		t.Fatalf("read %+v, %v", f, err)
	}
	if seed, err := f.Open([]byte("correct horse")); err != nil || seed != seedOf(7) {
		t.Errorf("opened %v, %v", seed, err)
	}
}

func TestAPersonSeesWhatItIs(t *testing.T) {
	text := string(sealed(t, cheap))
	for _, want := range []string{
		"-----BEGIN OVERLAYD ROOT KEY-----\nNetwork: charles\n", "\nNetwork-Id: ffeeddccbbaa99887766554433221100\n\n",
		"\n-----END OVERLAYD ROOT KEY-----\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestTextAroundItAndOtherLineEndsDoNoHarm(t *testing.T) {
	text := "kept in the safe\r\n" + strings.ReplaceAll(string(sealed(t, cheap)), "\n", "\r\n") + "\r\n"
	if seed, err := open([]byte(text), "correct horse"); err != nil || seed != seedOf(7) {
		t.Errorf("opened %v, %v", seed, err)
	}
}

func TestWrongPassphraseOpensNothing(t *testing.T) {
	for _, passphrase := range []string{"", "correct horsf", "correct horse "} {
		if _, err := open(sealed(t, cheap), passphrase); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%q: %v", passphrase, err)
		}
	}
}

func TestOtherFilesAreTold(t *testing.T) {
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})
	for name, text := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "a certificate": certificate, "long": bytes.Repeat([]byte{'x'}, MaxLen+1),
	} {
		if _, err := Parse(text); !errors.Is(err, ErrNotVault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamageIsTold(t *testing.T) {
	whole := sealed(t, cheap)
	for name, text := range map[string][]byte{
		"cut off":       whole[:len(whole)-40],
		"a flipped bit": altered(t, false, func(b *pem.Block) { b.Bytes[headLen+3] ^= 1 }),
		"a header":      altered(t, false, func(b *pem.Block) { b.Headers[nameHeader] = "mystic" }),
		"a byte short":  altered(t, false, func(b *pem.Block) { b.Bytes = b.Bytes[1:] }),
		"version":       altered(t, true, func(b *pem.Block) { b.Bytes[0] = 2 }),
	} {
		if _, err := Parse(text); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestForgedHeadersDoNotOpen(t *testing.T) {
	for name, change := range map[string]func(*pem.Block){
		"another network": func(b *pem.Block) { b.Headers[idHeader] = "00" },
		"other salt":      func(b *pem.Block) { b.Bytes[10] ^= 1 },
		"other key":       func(b *pem.Block) { b.Bytes[headLen] ^= 1 },
	} {
		if _, err := open(altered(t, true, change), "correct horse"); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a file says of itself is shown before it is opened: its checksum proves nothing.
func TestHeadersThatCannotBeShownAreDamage(t *testing.T) {
	for name, change := range map[string]func(*pem.Block){
		"one header more":  func(b *pem.Block) { b.Headers["Note"] = "x" },
		"one header less":  func(b *pem.Block) { delete(b.Headers, nameHeader) },
		"another header":   func(b *pem.Block) { delete(b.Headers, nameHeader); b.Headers["Note"] = "x" },
		"no name":          func(b *pem.Block) { b.Headers[nameHeader] = "" },
		"escape sequences": func(b *pem.Block) { b.Headers[nameHeader] = "x\x1b]0;y\x07" },
		"a long name":      func(b *pem.Block) { b.Headers[nameHeader] = strings.Repeat("x", maxLabelLen+1) },
		"a long id":        func(b *pem.Block) { b.Headers[idHeader] = strings.Repeat("0", maxLabelLen+1) },
	} {
		if _, err := Parse(altered(t, true, change)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostileFileTakesNeitherMemoryNorTime(t *testing.T) {
	start := time.Now()
	for name, at := range map[string]int{"passes": 1, "memory": 5, "lanes": 9} {
		for _, v := range []byte{0, 255} {
			text := altered(t, true, func(b *pem.Block) {
				for i := range 4 {
					if at+i < 10 {
						b.Bytes[at+i] = v
					}
				}
			})
			if _, err := open(text, "correct horse"); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s of %d: %v", name, v, err)
			}
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestNetworkMustFitAHeader(t *testing.T) {
	for _, name := range []string{"", " x", "a\nb", "å", strings.Repeat("x", maxLabelLen+1)} {
		_, err := Seal(seedOf(1), []byte("correct horse"), Network{Name: name, ID: "00"}, rand.NewChaCha8([32]byte{}))
		if !errors.Is(err, ErrLabel) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestWithoutRandomnessNothingIsSealed(t *testing.T) {
	if _, err := Seal(seedOf(1), []byte("correct horse"), charles(), strings.NewReader("short")); err == nil {
		t.Error("sealed")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(sealed(f, cheap), "correct horse")
	f.Add(sealed(f, cheap), "wrong")
	f.Add([]byte("-----BEGIN OVERLAYD ROOT KEY-----\n-----END OVERLAYD ROOT KEY-----\n"), "")
	f.Fuzz(func(t *testing.T, text []byte, passphrase string) {
		file, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrNotVault) && !errors.Is(err, ErrDamaged) {
				t.Errorf("odd error %v", err)
			}
			return
		}
		if file.cost.memory > 1<<10 {
			return // bearable, but not as often as this
		}
		seed, err := file.Open([]byte(passphrase))
		if err != nil && !errors.Is(err, ErrPassphrase) || err == nil && seed != seedOf(7) {
			t.Errorf("opened %v, %v", seed, err)
		}
	})
}
