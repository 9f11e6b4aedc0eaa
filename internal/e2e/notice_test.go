package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/softphone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// noticeTone is what the operator "says" into his notice.
const noticeTone = 600

// An operator dials *600, presses 1, says something and hangs up; a caller who
// does not reach him hears it, also after the server was killed, until it is
// switched off.
func TestAnOperatorsNoticeIsRecordedByPhoneAndHeardByCallers(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{})
	operator := srv.operator("101", softphone.Script{Refuse: 486}, nil)
	client := srv.carrier("city", softphone.Script{})
	srv.route(packet{"operator": "101"})

	leg, err := operator.Call(limit(t), "*600")
	must(t, err)
	dictation := says(noticeTone, 12*time.Second) // the words of the server take some 5 s
	dictation.Keys = []softphone.Key{{After: time.Second, Digits: "1"}}
	_ = dictation.Talk(limit(t), leg)
	events := srv.expect(srv.only(call.Internal), call.Announced)
	length := time.Duration(find(t, events, call.NoticeRecorded, "").DurationS * float64(time.Second))
	if length < 2*time.Second || length > 11*time.Second {
		t.Fatalf("recorded %v", length)
	}

	heard, err := softphone.NewRecorder()
	must(t, err)
	leg, err = client.Call(limit(t), "+74951112233")
	must(t, err)
	leg.Record(heard)
	_ = softphone.Script{StayOn: true}.Talk(limit(t), leg)
	file := filepath.Join(t.TempDir(), "heard.wav")
	must(t, heard.Save(t.Context(), file))
	b, err := os.ReadFile(file)
	must(t, err)
	rec := readStereo(t, b)
	from := rec.left.begins(t, noticeTone)
	rec.left.mostly(t, noticeTone, from, from+length-300*time.Millisecond)

	// It is in the recording of the call, where the caller heard it.
	id := srv.only(call.Inbound)
	events = srv.expect(id, call.NoAnswer)
	if e := find(t, events, call.NoticePlayed, ""); e.Operator != "101" || e.Reason != "busy" {
		t.Errorf("%+v", e)
	}
	srv.until(id, func(e call.Event) bool { return e.Recording == call.RecordingReady })
	var recording bytes.Buffer
	must(t, srv.API.Recording(limit(t), id, &recording))
	whole := readStereo(t, recording.Bytes())
	from = whole.left.begins(t, noticeTone)
	whole.left.mostly(t, noticeTone, from, from+length-300*time.Millisecond)

	if out := srv.notice("off", "101"); !strings.Contains(out, "done for 1") {
		t.Errorf("%s", out)
	}
	var refused *telephony.DialError
	if _, err := client.Call(limit(t), "+74951112233"); !errors.As(err, &refused) {
		t.Errorf("it is off: %v", err)
	}
	srv.notice("on", "101")
	leg, err = client.Call(limit(t), "+74951112233")
	must(t, err)
	leg.Hangup(0)
	srv.notice("delete", "101")
	left, err := os.ReadDir(filepath.Join(srv.Data, "notices"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in the folder: %v %v", left, err)
	}
}

// mostly fails unless nine of ten windows hold the tone: the sound has come over
// the network twice, and a phone that was late by a packet is not what is tried.
func (c channel) mostly(t *testing.T, freq float64, from, to time.Duration) {
	t.Helper()
	var all, held int
	for at := from; at+window <= to; at += window {
		all++
		if tone.Strength(c.between(at, at+window), c.rate, freq) > 0.7 {
			held++
		}
	}
	if all == 0 || held*10 < all*9 {
		t.Errorf("%s: %.0f Hz in %d of %d windows from %v to %v", c.name, freq, held, all, from, to)
	}
}

// notice runs `perezvon notice`.
func (s *server) notice(args ...string) string {
	s.t.Helper()
	return run(s.t, append([]string{"notice", "--server", s.API.Base, "--key", s.API.Key}, args...)...)
}

// Operator numbers with hostile characters pass no door: not the program, not a
// registration, not the number that is dialled.
func TestHostileOperatorNumbersPassNoDoor(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{})
	phone := srv.operator("101", says(managerTone, 0), nil)
	hostile := []string{"../101", "101;reboot", `10"1`, "10'1", "101 102", "$(reboot)", "１０１"}
	for _, number := range hostile {
		for _, verb := range []string{"on", "off", "delete"} {
			out, err := exec.CommandContext(t.Context(), program, "notice", "--server", srv.API.Base, "--key", srv.API.Key, verb, number).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "want extensions") {
				t.Errorf("notice %s %q: %v %s", verb, number, err, out)
			}
		}
		var refused *telephony.DialError
		if leg, err := phone.Call(limit(t), number); !errors.As(err, &refused) {
			t.Errorf("dialled %q: %v %v", number, leg, err)
		}
	}
	for _, user := range []string{"../101", "101'--", "101;reboot"} {
		p, err := softphone.Start(t.Context(), softphone.Config{Server: srv.SIP, User: user, Password: phonePassword})
		if err != nil {
			continue // the phone itself will not
		}
		if err := p.WaitRegistered(limit(t), time.Second); err == nil {
			t.Errorf("%q registered", user)
		}
		_ = p.Stop(limit(t))
	}
	entries, err := os.ReadDir(filepath.Join(srv.Data, "notices"))
	if err != nil || len(entries) != 0 {
		t.Errorf("%v %v", entries, err)
	}
}
