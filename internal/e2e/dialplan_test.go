package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/freepbx"
	"github.com/perezvon/perezvon/internal/freepbx/freepbxtest"
	"github.com/perezvon/perezvon/internal/localasterisk"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// modules are what the generated dialplan needs beside those of an engine's
// node.
var modules = []string{
	"res_speech.so", "res_agi.so", "app_dial.so", "app_stack.so", "app_exec.so", "app_playback.so", "app_read.so", "app_record.so",
	"func_logic.so", "func_strings.so", "func_devstate.so", "func_extstate.so", "func_db.so", "func_global.so",
	"res_curl.so", "func_curl.so", "res_http_media_cache.so",
}

// asInFreePBX is the part of FreePBX's dialplan that the generated contexts
// lead to and are reached from: the queue is the phone "queue", and extensions
// lead unanswered calls where users.noanswer_dest says.
const asInFreePBX = `
[from-trunk]
exten => _X.,1,Goto(detect-number,start,1)
[ext-queues]
exten => 1000,1,Dial(PJSIP/queue,30)
 same => n,Hangup()
[ext-local]
exten => 101,hint,PJSIP/101
exten => 102,hint,PJSIP/102
exten => _10X,1,Set(EXTTOCALL=${EXTEN})
 same => n,Dial(PJSIP/${EXTEN},2)
 same => n,GotoIf($["${DIALSTATUS}"="NOANSWER"]?operators-alert,s,1)
 same => n,Hangup()
[from-internal]
include => from-internal-custom
include => ext-local
[from-internal-direct]
exten => _10X,1,Goto(ext-local,${EXTEN},1)
`

// pbxScene is an Asterisk whose dialplan stays in charge, with the generated
// contexts, phones, and a server beside it.
type pbxScene struct {
	*server
	pbx    *freepbxtest.FreePBX
	node   *localasterisk.Asterisk
	people map[string]*telephonytest.SIPPhone
}

func besideAsterisk(t *testing.T) *pbxScene {
	t.Helper()
	s := &pbxScene{pbx: freePBX(t), people: map[string]*telephonytest.SIPPhone{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	agi := l.Addr().String()
	must(t, l.Close())
	text, err := freepbx.Dialplan{AGI: "agi://" + agi, NoticeAllow: []string{"_101"}}.Text()
	must(t, err)
	var pjsip strings.Builder
	for i, one := range []struct {
		name, context string
		tone          float64
	}{{"city", "detect", 1400}, {"queue", "none", 1700}, {"101", "from-internal", 2000}, {"102", "from-internal", 2300}} {
		p := telephonytest.NewSIPPhoneAt(t, netip.AddrFrom4([4]byte{127, 0, 0, byte(10 + i)}), one.tone)
		s.people[one.name] = p
		fmt.Fprintf(&pjsip, "[%[1]s]\ntype = endpoint\nlanguage = en_US_f_Allison\naors = %[1]s\ncontext = %[2]s\ndisallow = all\nallow = alaw\ndirect_media = no\n"+
			"[%[1]s]\ntype = aor\ncontact = sip:%[3]s\n[%[1]s]\ntype = identify\nendpoint = %[1]s\nmatch = %[4]s\n", one.name, one.context, p.Addr(), p.Addr().Addr())
	}
	s.node = asterisktest.StartWith(t, localasterisk.Options{PJSIP: pjsip.String(), Extensions: asInFreePBX + text, Modules: modules})
	s.server = start(t, beside(s.pbx, serverproc.Options{Args: []string{"--agi", agi}}))
	s.freepbx("operators")
	return s
}

// calls lets the client call in.
func (s *pbxScene) calls() {
	s.people["city"].Call(s.node.SIP, clientNumber[1:], "", "74951112233")
}

// hears waits until one hears a tone.
func (s *pbxScene) hears(who string, freq float64) {
	s.t.Helper()
	until(s.t, who+" has a call", func() bool { return s.people[who].Sound() != nil })
	until(s.t, fmt.Sprintf("%s hears %.0f Hz", who, freq), func() bool {
		heard := s.people[who].Sound().Heard()
		return len(heard) > 1600 && tone.Strength(heard[len(heard)-1600:], 8000, freq) > 0.7
	})
}

// talk waits until two hear each other, and ends the call.
func (s *pbxScene) talk(one, other string) {
	s.t.Helper()
	s.hears(one, s.people[other].Tone())
	s.hears(other, s.people[one].Tone())
	s.over(one)
}

// over hangs a phone up and waits until nobody else has a call but those who
// talk about something else.
func (s *pbxScene) over(who string, others ...string) {
	s.t.Helper()
	s.people[who].Hangup("")
	for name, p := range s.people {
		if !slices.Contains(others, name) {
			until(s.t, name+" is free", func() bool { return p.State() == telephonytest.PhoneIdle })
		}
	}
}

// A client who calls reaches the manager whom FreePBX's own records name, if he
// is free; else the queue, also when this server is away.
func TestADialplanAsksWhoIsResponsible(t *testing.T) {
	t.Parallel()
	s := besideAsterisk(t)
	s.people["queue"].Behave(telephonytest.Manner{Answers: true})
	s.people["101"].Behave(telephonytest.Manner{Answers: true})
	s.people["102"].Behave(telephonytest.Manner{Answers: true})

	s.calls() // nobody knows him
	s.talk("city", "queue")

	s.pbx.Add(t, talked("101", time.Hour))
	s.isResponsible("101")
	s.calls()
	s.talk("city", "101")

	// The manager is talking.
	s.people["101"].Call(s.node.SIP, "101", "", "102")
	s.hears("102", s.people["101"].Tone())
	s.calls()
	s.hears("city", s.people["queue"].Tone())
	s.over("city", "101", "102")
	s.over("101")

	// He is paused here.
	must(t, s.API.Do(limit(t), http.MethodPut, "/api/v1/operators/101", packet{"paused": true}, nil))
	s.calls()
	s.talk("city", "queue")
	must(t, s.API.Do(limit(t), http.MethodPut, "/api/v1/operators/101", packet{}, nil))
	s.calls()
	s.talk("city", "101")

	// This server is away: calls go on as before.
	must(t, s.Kill())
	s.calls()
	s.talk("city", "queue")
}

// Who does not reach an operator hears the notice that is kept here, else the
// one that the operator has recorded in the dialplan by *600.
func TestADialplanPlaysTheNotices(t *testing.T) {
	t.Parallel()
	const kept = 600
	s := besideAsterisk(t)
	var file bytes.Buffer
	must(t, wav.Write(&file, tone.Sine(kept, 5*time.Second, 16000, 8000)))
	put := func(contentType string, body []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(limit(t), http.MethodPut, s.API.Base+"/api/v1/operators/101/notice", bytes.NewReader(body))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+s.API.Key)
		req.Header.Set("Content-Type", contentType)
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		must(t, res.Body.Close())
		if res.StatusCode != http.StatusOK {
			t.Fatalf("the notice is refused: %s", res.Status)
		}
	}
	put("audio/wav", file.Bytes())
	colleague := func() { s.people["102"].Call(s.node.SIP, "102", "", "101") }
	colleague()
	s.hears("102", kept)
	s.over("102")

	// Off, nothing is heard and the call ends.
	put("application/json", []byte(`{"enabled": false}`))
	colleague()
	until(t, "the call is over", func() bool { return s.people["102"].State() == telephonytest.PhoneIdle })

	// *600 in the dialplan; 102 is not allowed to.
	s.notice("delete", "101")
	s.people["102"].Call(s.node.SIP, "102", "", "*600")
	until(t, "102 is refused", func() bool { return s.people["102"].Final() >= 400 })
	s.people["101"].Call(s.node.SIP, "102", "", "*600") // whatever number he shows
	until(t, "the mark is asked for", func() bool { return s.people["101"].Sound() != nil })
	s.people["101"].Sound().Press('1', nil)
	until(t, "two seconds are recorded", func() bool {
		file, err := os.Stat(filepath.Join(s.node.Dir(), "sounds", "custom", "rec_101.wav"))
		return err == nil && file.Size() > 2*16000
	})
	s.over("101")
	colleague()
	s.hears("102", s.people["101"].Tone())
	s.over("102")
}
