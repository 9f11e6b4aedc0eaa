package sipengine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"
)

func opened(t testing.TB, path string) (*ledger, []string) {
	t.Helper()
	l, left, err := openLedger(path, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	var keys []string
	for _, e := range left {
		keys = append(keys, e.Key)
	}
	return l, keys
}

func TestTheLedgerStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.jsonl")
	l, _ := opened(t, path)
	l.tidy()
	l.note(entry{Key: "long", Message: strings.Repeat("x", 700)})
	for i := range 5000 {
		key := fmt.Sprint(i)
		l.note(entry{Key: key, Message: strings.Repeat("x", 700)})
		l.drop(key)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > compactAt+2000 {
		t.Errorf("%d bytes for one call", len(b))
	}
	if _, keys := opened(t, path); !cmp.Equal(keys, []string{"long"}) {
		t.Errorf("left: %v", keys)
	}
}

func TestALedgerThatAnotherProcessUsesIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.jsonl")
	l, _ := opened(t, path)
	l.note(entry{Key: "a"})
	l.note(entry{Key: "b"})
	l.drop("b")
	other, _ := opened(t, path) // finds the ports taken
	other.close()
	l.note(entry{Key: "c"})
	if _, keys := opened(t, path); !cmp.Equal(keys, []string{"a", "c"}) {
		t.Errorf("left: %v", keys)
	}
}

func TestALineAfterATornOneCanBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.jsonl")
	l, _ := opened(t, path)
	l.note(entry{Key: "a"})
	f, err := openAppend(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"key":"torn","at":"20`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	next, _ := opened(t, path)
	next.note(entry{Key: "b"})
	if _, keys := opened(t, path); !cmp.Equal(keys, []string{"a", "b"}) {
		t.Errorf("left: %v", keys)
	}
}

// FuzzLedger: whatever a far end calls itself, the entries around its own stay,
// and whatever is in the file, reading it ends.
func FuzzLedger(f *testing.F) {
	f.Add("sip:far@10.0.0.2", `{"key":"x"}`)
	f.Add("sip:\"}\n{\"key\":\"other\",\"over\":true}\n@10.0.0.2", "{}\n[]\nnull\n\"\"")
	f.Add("sip:\xff\xfe\u2028@x", "\x00")
	now := time.Unix(1e9, 0).UTC()
	f.Fuzz(func(t *testing.T, contact, rest string) {
		text := string(line(entry{Key: "other", At: now})) + string(line(entry{Key: contact + "k", At: now, Message: "BYE " + contact})) + "\n" + rest
		if strings.Contains(rest, "key") || strings.Contains(strings.ToLower(rest), "at") || contact+"k" == "other" {
			readLedger([]byte(text), now)
			return
		}
		if left := readLedger([]byte(text), now); len(left) != 2 || left[0].Key != "other" {
			t.Errorf("%q: %v", text, left)
		}
	})
}

// BenchmarkLedgerOfACall is what the ledger costs an INVITE before it goes out,
// and its end.
func BenchmarkLedgerOfACall(b *testing.B) {
	l, _ := opened(b, filepath.Join(b.TempDir(), "calls.jsonl"))
	l.tidy()
	m, err := sip.ParseMessage([]byte("INVITE sip:74951234567@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK.0123456789abcdef;rport\r\n" +
		"From: <sip:74957654321@10.0.0.2>;tag=0123456789abcdef\r\nTo: <sip:74951234567@10.0.0.2>\r\nCall-ID: 5a628439-48e2-47df-b723-49b0b9fc3f7f\r\nCSeq: 1 INVITE\r\n\r\n"))
	if err != nil {
		b.Fatal(err)
	}
	a := &attempt{e: &Engine{ledger: l}, req: m.(*sip.Request)}
	for b.Loop() {
		a.keep()
		a.forget()
	}
}
