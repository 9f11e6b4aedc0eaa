package scenario

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// moments are few, so that things happen in the same instant often.
var moments = rapid.SampledFrom([]time.Duration{0, 500 * time.Millisecond, sec, 2 * sec, 3 * sec, 5 * sec, 8 * sec, 13 * sec, 30 * sec, 60 * sec})

var phones = rapid.Custom(func(t *rapid.T) scripted.Phone {
	var p scripted.Phone
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0, 1:
		p = scripted.Answers(moments.Draw(t, "answers"))
	case 2:
		p = scripted.RingsOn()
	case 3:
		p = scripted.Silent()
	case 4:
		p = scripted.Refuses(moments.Draw(t, "refuses"), rapid.IntRange(400, 699).Draw(t, "code")).Q850(rapid.IntRange(0, 127).Draw(t, "cause"))
	case 5:
		p = scripted.Unreachable(rapid.SampledFrom([]int{404, 480, 503}).Draw(t, "code"), "scripted")
	}
	if rapid.Bool().Draw(t, "early") {
		p = p.Early()
	}
	if rapid.Bool().Draw(t, "crosses") {
		p = p.CrossesCancel()
	}
	p = p.HangsUp(time.Hour) // nobody talks for ever
	if rapid.Bool().Draw(t, "hangs up") {
		p = p.HangsUp(moments.Draw(t, "hang-up"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "presses") {
		p = p.Presses(moments.Draw(t, "pressed"), rapid.StringOfN(rapid.RuneFrom([]rune("0259*#")), 1, 3, -1).Draw(t, "keys"))
	}
	return p
})

var packets = rapid.Custom(func(t *rapid.T) callback.Packet {
	p := simple()
	p.Managers = nil
	for i := range rapid.IntRange(1, 4).Draw(t, "managers") {
		m := callback.ManagerTarget{Number: "+7495000000" + strconv.Itoa(i)}
		if rapid.Bool().Draw(t, "operator") {
			m = callback.ManagerTarget{SIP: "10" + strconv.Itoa(i)}
		}
		m.Group = rapid.SampledFrom([]string{"", "first"}).Draw(t, "group")
		m.Extension = rapid.SampledFrom([]string{"", "1", "2,3"}).Draw(t, "extension")
		p.Managers = append(p.Managers, m)
	}
	p.Client += rapid.SampledFrom([]string{"", "^7"}).Draw(t, "client's extension")
	p.DialMode = rapid.SampledFrom([]string{"sequential", "parallel"}).Draw(t, "mode")
	p.TrunksClient = rapid.SampledFrom([][]string{nil, {"a", "b"}}).Draw(t, "trunks")
	p.FailoverOn = rapid.SampledFrom([]string{callback.FailoverNetwork, callback.FailoverAny}).Draw(t, "failover")
	p.IVRText = rapid.SampledFrom([]string{"", "ivr"}).Draw(t, "ivr")
	p.ExtraInfo = rapid.SampledFrom([]string{"", "extra"}).Draw(t, "extra")
	if rapid.Bool().Draw(t, "hangs up at the limit") {
		p.RepeatsBeforeHangup = ptr(17)
	}
	keys := []*string{&p.DTMFConnect, &p.DTMFExtraInfo, &p.DTMFCancel, &p.DTMFCancelRecalls, &p.DTMFReschedule}
	for i, k := range rapid.Permutation([]string{"5", "2", "*", "9", "0"}).Draw(t, "keys") {
		if rapid.Bool().Draw(t, "key set") {
			*keys[i] = k
		}
	}
	p.AfterCallS = ptr(rapid.SampledFrom([]int{0, 5, 15}).Draw(t, "after"))
	p.ClientDelayMS = ptr(rapid.SampledFrom([]int{0, 500, 3000}).Draw(t, "delay"))
	return p
})

// Whatever the packet and whatever the phones do: one status of the table, and
// nobody is left ringing, joined or on the phone.
func TestAnyPacketAndAnyPhonesEndInOneStatus(t *testing.T) {
	seen := make(map[call.Status]int)
	check := func(rt *rapid.T) {
		packet := packets.Draw(rt, "packet")
		client := phones.Draw(rt, "client")
		managers := rapid.SliceOfN(phones, 8, 8).Draw(rt, "managers")
		end := rapid.SampledFrom([]error{nil, nil, nil, ErrCancelled, ErrStopped}).Draw(rt, "end")
		endAfter := moments.Draw(rt, "end after")
		try(t, func(_ *testing.T, s *stage) {
			s.packet, s.end, s.endAfter = packet, end, endAfter
			s.engine.Phone(clientNumber, client)
			for i := range 4 {
				n := strconv.Itoa(i)
				s.engine.Phone("+7495000000"+n, managers[i])
				s.engine.Phone("10"+n, managers[i])
				s.engine.Phone("+7916000000"+n, managers[4+i])
				s.operators["10"+n] = directory.Operator{Extension: "10" + n, Phones: []string{"+7916000000" + n}}
			}
			out := s.run(rt)
			seen[out.Status]++
			if !slices.Contains(call.CallbackStatuses(), out.Status) {
				rt.Errorf("ended as %v", out.Status)
			}
			if out.Status == call.Interrupted && end != ErrStopped {
				rt.Errorf("interrupted by nobody: %s", out.Reason)
			}
			talks := len(s.engine.Talks()) // a transfer that comes to nothing parts them and joins them again
			if (out.Status == call.Completed) != (talks > 0) && out.Status != call.Cancelled && out.Status != call.Interrupted {
				rt.Errorf("%v with %d talks", out.Status, talks)
			}
			if out.Status == call.Cancelled && end != ErrCancelled {
				rt.Errorf("cancelled by nobody")
			}
			if rt.Failed() {
				rt.Logf("%s", s.timeline())
			}
		})
	}
	for range 3 { // of 100 calls each, unless -rapid.checks says another number
		rapid.Check(t, check)
	}
	t.Log(seen)
}
