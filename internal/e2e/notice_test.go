package e2e

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/media/wav"
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
	onBothEngines(t, anOperatorsNoticeIsRecordedByPhoneAndHeardByCallers)
}

func anOperatorsNoticeIsRecordedByPhoneAndHeardByCallers(t *testing.T, start engine) {
	t.Helper()
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
	whole := srv.recording(id)
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

// Killed while notices are replaced as fast as it goes: what was acknowledged
// is there, whole, and at most one file is nobody's.
func TestKilledWhileANoticeIsReplaced(t *testing.T) {
	t.Parallel()
	srv := start(t, serverproc.Options{Data: filepath.Join(t.TempDir(), "data")})
	must(t, srv.API.Do(limit(t), "PUT", "/api/v1/operators/101", packet{}, nil))
	const kinds = 5
	freq := func(n int) float64 { return 400 + 100*float64(n%kinds) }
	sounds := make([][]byte, kinds)
	for n := range sounds {
		var file bytes.Buffer
		must(t, wav.Write(&file, tone.Sine(freq(n), 10*time.Second, 16000, 8000)))
		sounds[n] = file.Bytes()
	}
	enough, stopped := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			status, _, err := srv.notices("PUT", "", sounds[n%kinds])
			if err != nil || status != http.StatusOK {
				stopped <- n // the first that was not acknowledged
				return
			}
			if n == 7 {
				close(enough)
			}
		}
	}()
	select {
	case <-enough:
	case n := <-stopped:
		t.Fatalf("the notice %d was not taken", n)
	}
	must(t, srv.Kill())
	lost := <-stopped

	srv = startAgain(t, srv)
	status, file, err := srv.notices("GET", "/audio", nil)
	must(t, err)
	clip, err := wav.Read(bytes.NewReader(file))
	if err != nil || status != http.StatusOK || clip.Duration() < 9900*time.Millisecond {
		t.Fatalf("%d %v %+v", status, err, clip)
	}
	acknowledged, under := tone.Strength(clip.Samples, clip.Rate, freq(lost-1)), tone.Strength(clip.Samples, clip.Rate, freq(lost))
	if max(acknowledged, under) < 0.9 {
		t.Errorf("it is neither the last that was acknowledged (%.2f) nor the one under way (%.2f)", acknowledged, under)
	}
	if entries, err := os.ReadDir(filepath.Join(srv.Data, "notices")); err != nil || len(entries) > 2 {
		t.Errorf("%v %v", entries, err)
	}
}

// notices asks for the notice of 101; a body is a WAV file.
func (s *server) notices(method, what string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.API.Base+"/api/v1/operators/101/notice"+what, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.API.Key)
	req.Header.Set("Content-Type", "audio/wav")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}
