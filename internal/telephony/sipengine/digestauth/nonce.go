package digestauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"
)

// A nonce is 8 bytes of time, 8 of chance and 16 of a HMAC over both and the
// address it was given to, in hex.
const (
	nonceTime = 8
	nonceBody = 16
	nonceSize = 32
)

// nonces issues and knows again. What it remembers of those that were used
// (to refuse a replay) is bounded.
type nonces struct {
	key [32]byte
	ttl time.Duration

	mu   sync.Mutex
	used *lru[string, *uses]
	// floor is the time of issue of the youngest nonce whose uses were
	// forgotten for room: what is not younger and not remembered is refused.
	floor int64
}

// uses are the counts seen with one nonce: the highest, and which of the 64
// before it, because requests sent together may arrive in any order.
type uses struct {
	issued  int64
	highest uint32
	seen    uint64 // bit i: highest-i was seen
}

func newNonces(ttl time.Duration, room int) *nonces {
	n := &nonces{ttl: ttl, used: newLRU[string, *uses](room)}
	_, _ = rand.Read(n.key[:]) // never fails (crypto/rand)
	return n
}

// issue makes a nonce for a source.
func (n *nonces) issue(now time.Time, source netip.Addr) string {
	var raw [nonceSize]byte
	binary.BigEndian.PutUint64(raw[:], uint64(now.UnixNano()))
	_, _ = rand.Read(raw[nonceTime:nonceBody])
	n.sign(&raw, source)
	return hex.EncodeToString(raw[:])
}

func (n *nonces) sign(raw *[nonceSize]byte, source netip.Addr) {
	h := hmac.New(sha256.New, n.key[:])
	h.Write(raw[:nonceBody])
	address := source.Unmap().As16()
	h.Write(address[:])
	copy(raw[nonceBody:], h.Sum(nil))
}

// fresh tells whether a nonce was given to this source and is not too old.
func (n *nonces) fresh(now time.Time, nonce string, source netip.Addr) bool {
	got, err := hex.DecodeString(nonce)
	if err != nil || len(got) != nonceSize {
		return false
	}
	want := [nonceSize]byte(got)
	n.sign(&want, source)
	if !hmac.Equal(want[nonceBody:], got[nonceBody:]) {
		return false
	}
	age := now.Sub(time.Unix(0, issued(got)))
	return 0 <= age && age < n.ttl
}

func issued(raw []byte) int64 { return int64(binary.BigEndian.Uint64(raw)) }

// use notes that count was used with a fresh nonce, and reports false if it
// was before, which is a replay (RFC 7616 §3.4.6). Credentials without a count
// use their nonce up: they pass count 0.
func (n *nonces) use(nonce string, count uint32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	u, known := n.used.get(nonce)
	if !known {
		raw, _ := hex.DecodeString(nonce[:2*nonceTime])
		u = &uses{issued: issued(raw), highest: count, seen: 1}
		if u.issued <= n.floor {
			return false
		}
		if old, full := n.used.put(nonce, u); full {
			n.floor = max(n.floor, old.issued)
		}
		return true
	}
	if count == 0 || u.highest == 0 {
		return false
	}
	if count > u.highest {
		u.seen = u.seen<<(count-u.highest) | 1
		u.highest = count
		return true
	}
	bit := uint64(1) << (u.highest - count) // 0 when 64 or more behind
	if bit == 0 || u.seen&bit != 0 {
		return false
	}
	u.seen |= bit
	return true
}
