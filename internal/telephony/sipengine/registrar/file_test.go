package registrar

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFileKeepsTheBindings(t *testing.T) {
	dir := t.TempDir()
	f := File(filepath.Join(dir, "phones.json"))
	if all, err := f.Load(t.Context()); err != nil || all != nil {
		t.Errorf("without a file: %v %v", all, err)
	}
	want := []Binding{{
		Extension: "101", Contact: "sip:101@10.0.0.5", Key: "k", Transport: "UDP", Source: home, CallID: "c", CSeq: 7,
		Expires: time.Date(2026, 11, 21, 9, 0, 0, 5, time.UTC), UserAgent: `Desk "1"`,
	}}
	for range 2 {
		if err := f.Save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files left", len(left))
	}
}

func TestAFileThatCannotBeReadStopsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "phones.json")
	if err := os.WriteFile(path, []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := File(path).Load(t.Context()); err == nil {
		t.Error("read without an error")
	}
	r := New(Config{Keeper: File(path)})
	r.Start(t.Context())
	send(t, r, request(t, 1, "Contact: <sip:101@10.0.0.5>"))
	r.Stop()
	if all, err := File(path).Load(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("after the stop: %v %v", all, err)
	}
}
