package asterisk

import (
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// A key that Asterisk kept back is told twice; it was pressed once.
func TestAKeyToldTwiceIsOne(t *testing.T) {
	type told struct {
		key string
		at  int // ms
	}
	for _, tt := range []struct {
		name string
		told []told
		want string
	}{
		{"one after another", []told{{"*", 0}, {"2", 200}, {"1", 400}}, "*21"},
		{"kept back behind another", []told{{"2", 0}, {"1", 60}, {"1", 110}}, "21"},
		{"two kept back", []told{{"2", 0}, {"1", 50}, {"0", 90}, {"1", 120}, {"0", 230}}, "210"},
		{"pressed twice", []told{{"1", 0}, {"1", 140}}, "11"},
		{"pressed twice, and each kept back", []told{{"2", 0}, {"1", 60}, {"1", 110}, {"1", 200}, {"1", 250}}, "211"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var k keys
			got := ""
			for _, d := range tt.told {
				ev := ari.Event{Digit: d.key, DurationMS: 100, Timestamp: ari.Time{Time: time.UnixMilli(int64(d.at))}}
				if k.isNew(ev) {
					got += d.key
				}
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
