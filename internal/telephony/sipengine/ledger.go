package sipengine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	// forgottenAfter is how long after its last sign of life the calls of a
	// dead engine are left alone: nobody hangs in one for so long, and their
	// addresses may be others' by now.
	forgottenAfter = time.Hour
	// aliveEvery is how often an engine with calls notes that it lives.
	aliveEvery = time.Minute
	// compactAt is the size in bytes above which a ledger that is mostly
	// history is written anew.
	compactAt = 1 << 20
)

// entry is a line of the ledger: what would have to be said to end a call, or
// that it has ended, or, without a key, only that the engine lived At that time.
type entry struct {
	// Key names the call among the entries; a later one replaces it.
	Key string    `json:"key,omitempty"`
	At  time.Time `json:"at"`
	// Over tells that nothing need be said any more.
	Over bool `json:"over,omitempty"`
	// Message is the head of a SIP request: an INVITE of ours that has no
	// final answer, or the BYE of a dialog that stands, with the route as it
	// was recorded and without Via.
	Message string `json:"message,omitempty"`
	// Transport and Addr are where it goes next.
	Transport string `json:"transport,omitempty"`
	Addr      string `json:"addr,omitempty"`
	// NAT tells that it goes there whatever the far end's Contact says.
	NAT bool `json:"nat,omitempty"`
	// Trunk is whose password answers a challenge; empty: nobody's. The
	// password itself is not kept here.
	Trunk string `json:"trunk,omitempty"`
}

// ledger is a file that outlives the process, and tells the next one what is
// left to be ended. It is written line by line and not synced: the system keeps
// what a killed process wrote. A power cut may lose the last seconds.
//
// A nil ledger keeps nothing. A ledger that cannot be written is a matter for
// the log and not for the calls.
type ledger struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex
	file *os.File          // nil: closed
	size int               // of the file
	live map[string][]byte // the newest line of what stands
	held int               // the size of these lines
	torn bool              // the file may end within a line
	ours bool              // see tidy
}

// openLedger opens the ledger at path and reads what a process before left in
// it. An empty path gives none.
func openLedger(path string, log *slog.Logger) (*ledger, []entry, error) {
	if path == "" {
		return nil, nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read the ledger of calls: %w", err)
	}
	file, err := openAppend(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open the ledger of calls: %w", err)
	}
	left := readLedger(b, time.Now())
	l := &ledger{path: path, log: log, file: file, size: len(b), live: make(map[string][]byte), torn: len(b) > 0 && b[len(b)-1] != '\n'}
	for _, e := range left {
		text := line(e)
		l.live[e.Key] = text
		l.held += len(text)
	}
	return l, left, nil
}

func openAppend(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// readLedger gives the entries that stand, in the order they were begun. What
// cannot be read, a torn last line above all, is as if it were not there.
func readLedger(b []byte, now time.Time) []entry {
	var order []string
	live := make(map[string]entry)
	var alive time.Time
	for text := range bytes.Lines(b) {
		var e entry
		if json.Unmarshal(text, &e) != nil {
			continue
		}
		if e.At.After(alive) {
			alive = e.At
		}
		switch _, known := live[e.Key]; {
		case e.Key == "":
		case e.Over:
			delete(live, e.Key)
		default:
			if !known {
				order = append(order, e.Key)
			}
			live[e.Key] = e
		}
	}
	if now.Sub(alive) > forgottenAfter {
		return nil
	}
	var left []entry
	for _, key := range order {
		if e, ok := live[key]; ok {
			left = append(left, e)
			delete(live, key) // once, though it began twice
		}
	}
	return left
}

// line is the text of an entry. JSON has no line breaks of its own, whatever a
// far end wrote into its headers.
func line(e entry) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a message is full of angle brackets
	if err := enc.Encode(e); err != nil {
		return nil // only a time beyond year 9999
	}
	return b.Bytes()
}

// note keeps an entry, in the place of an earlier one of its key.
func (l *ledger) note(e entry) {
	if l == nil {
		return
	}
	e.At = time.Now()
	text := line(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held += len(text) - len(l.live[e.Key])
	l.live[e.Key] = text
	l.write(text)
}

// drop removes the entry of a key, if there is one.
func (l *ledger) drop(key string) {
	if l == nil {
		return
	}
	text := line(entry{Key: key, At: time.Now(), Over: true})
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.live[key]
	if !known {
		return
	}
	l.held -= len(old)
	delete(l.live, key)
	l.write(text)
	if l.size > compactAt && l.size > 4*l.held {
		l.compact()
	}
}

// alive notes that the engine lives, if it has calls.
func (l *ledger) alive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.live) > 0 {
		l.write(line(entry{At: time.Now()}))
	}
}

// tidy writes the ledger anew without its history. It comes when the sockets
// are open, and therefore no other process is at work; before, the file is not
// replaced.
func (l *ledger) tidy() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ours = true
	if l.size != l.held {
		l.compact()
	}
}

// close ends the writing. What stands is left for the next engine.
func (l *ledger) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	if l.size != l.held {
		l.compact()
	}
	_ = l.file.Close() // nothing is buffered
	l.file = nil
}

// write appends a line by one write(2). l.mu is held.
func (l *ledger) write(text []byte) {
	if l.file == nil {
		return
	}
	if l.torn {
		text = append([]byte{'\n'}, text...)
	}
	n, err := l.file.Write(text)
	l.size += n
	l.torn = err != nil
	if err != nil {
		l.log.Error("the ledger of calls cannot be written: after a crash phones may ring on", "err", err)
	}
}

// compact puts a new file in the place of the old one, which stays if that
// fails. l.mu is held.
func (l *ledger) compact() {
	if l.file == nil || !l.ours {
		return
	}
	var all []byte
	for _, text := range l.live {
		all = append(all, text...)
	}
	fresh := l.path + ".new"
	err := os.WriteFile(fresh, all, 0o600)
	if err == nil {
		err = os.Rename(fresh, l.path)
	}
	if err != nil {
		l.log.Error("the ledger of calls cannot be written anew", "err", err)
		return
	}
	file, err := openAppend(l.path)
	if err != nil {
		l.log.Error("the ledger of calls cannot be opened", "err", err)
		return
	}
	_ = l.file.Close() // nothing is buffered
	l.file, l.size, l.torn = file, len(all), false
}
