package sdp

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/media"
)

var local = Local{
	IP: netip.MustParseAddr("198.51.100.1"), Port: 4000,
	Codecs:    []media.Codec{media.PCMA, media.PCMU, media.G722},
	SessionID: 7, Version: 2,
}

func TestOffer(t *testing.T) {
	want := lines("v=0", "o=perezvon 7 2 IN IP4 198.51.100.1", "s=-", "c=IN IP4 198.51.100.1", "t=0 0",
		"m=audio 4000 RTP/AVP 8 0 9 101",
		"a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000", "a=rtpmap:9 G722/8000",
		"a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=ptime:20", "a=sendrecv")
	if diff := cmp.Diff(want, string(local.Offer())); diff != "" {
		t.Error(diff)
	}
}

func TestOfferOfHoldOverIPv6(t *testing.T) {
	l := local
	l.IP, l.Direction, l.EventPT = netip.MustParseAddr("2001:db8::1"), SendOnly, 96
	s := mustParse(t, string(l.Offer()))
	if s.Addr != addr("[2001:db8::1]:4000") || s.Direction != SendOnly || s.EventPT != 96 {
		t.Errorf("%v, %v, event %d", s.Addr, s.Direction, s.EventPT)
	}
}

func TestAnswerHasOneCodecAndTheNumbersOfTheOffer(t *testing.T) {
	offer := mustParse(t, lines("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0",
		"m=audio 49170 RTP/AVP 18 97 0 96", "a=rtpmap:97 PCMA/8000", "a=rtpmap:96 telephone-event/8000", "a=ptime:30"))
	body, chosen, err := local.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	want := Chosen{
		Codec: media.PCMA, PT: 97, EventPT: 96,
		Remote: addr("192.0.2.1:49170"), RTCP: addr("192.0.2.1:49171"), Ptime: 30 * time.Millisecond,
	}
	if chosen != want {
		t.Errorf("%+v, want %+v", chosen, want)
	}
	wantBody := lines("v=0", "o=perezvon 7 2 IN IP4 198.51.100.1", "s=-", "c=IN IP4 198.51.100.1", "t=0 0",
		"m=audio 4000 RTP/AVP 97 96", "a=rtpmap:97 PCMA/8000",
		"a=rtpmap:96 telephone-event/8000", "a=fmtp:96 0-15", "a=ptime:30", "a=sendrecv")
	if diff := cmp.Diff(wantBody, string(body)); diff != "" {
		t.Error(diff)
	}
}

func TestOurOrderOfCodecsWinsInAnAnswer(t *testing.T) {
	for _, first := range []media.Codec{media.PCMA, media.PCMU} {
		_, chosen, err := Local{Codecs: []media.Codec{media.G722, first, media.PCMA, media.PCMU}}.Answer(mustParse(t, plain))
		if err != nil || chosen.Codec != first {
			t.Errorf("%v, %v, want %v", chosen.Codec, err, first)
		}
	}
}

func TestOtherStreamsAreRefusedInTheirPlaces(t *testing.T) {
	body := plain + lines("m=video 6000 RTP/AVP 96 97", "a=rtpmap:96 H264/90000", "m=audio 5000 RTP/AVP 0", "m=image 0 udptl t38", "m=message 9 TCP/MSRP *")
	body = strings.Replace(body, "m=audio", "m=application 5 UDP/BFCP\r\nm=audio", 1)
	answer, _, err := local.Answer(mustParse(t, body))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.SplitSeq(string(answer), "\r\n") {
		if strings.HasPrefix(line, "m=") {
			got = append(got, line)
		}
	}
	want := []string{"m=application 0 UDP/BFCP 0", "m=audio 4000 RTP/AVP 8 101", "m=video 0 RTP/AVP 96 97",
		"m=audio 0 RTP/AVP 0", "m=image 0 udptl t38", "m=message 0 TCP/MSRP *"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoCommonCodec(t *testing.T) {
	s := mustParse(t, strings.Replace(plain, "AVP 8 0", "AVP 18 97 3", 1))
	if _, _, err := local.Answer(s); !errors.Is(err, ErrNoCommonCodec) || !strings.Contains(err.Error(), `"G729", 97, "GSM"`) {
		t.Errorf("answer: %v", err)
	}
	if _, err := Accept(local.Codecs, s); !errors.Is(err, ErrNoCommonCodec) {
		t.Errorf("accept: %v", err)
	}
	// A number that the offer gives another meaning is not ours.
	s = mustParse(t, strings.NewReplacer("AVP 8 0", "AVP 8", "PCMA/8000", "PCMA/16000").Replace(plain))
	if _, _, err := local.Answer(s); !errors.Is(err, ErrNoCommonCodec) {
		t.Errorf("wrong clock: %v", err)
	}
}

func TestAcceptTakesTheFirstCodecOfTheAnswerThatWasOffered(t *testing.T) {
	s := mustParse(t, strings.Replace(plain, "AVP 8 0", "AVP 9 0 8", 1))
	got, err := Accept([]media.Codec{media.PCMA, media.PCMU}, s)
	if err != nil {
		t.Fatal(err)
	}
	want := Chosen{Codec: media.PCMU, PT: 0, EventPT: 101, Remote: s.Addr, RTCP: s.RTCP, Ptime: DefaultPtime}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestOfferAndAnswerAgree(t *testing.T) {
	for _, theirs := range []Direction{SendRecv, SendOnly, RecvOnly, Inactive} {
		for _, ours := range []Direction{SendRecv, SendOnly, RecvOnly, Inactive} {
			offerer, answerer := local, local
			offerer.Direction, answerer.Direction = theirs, ours
			body, a, err := answerer.Answer(mustParse(t, string(offerer.Offer())))
			if err != nil {
				t.Fatal(err)
			}
			b, err := Accept(offerer.Codecs, mustParse(t, string(body)))
			if err != nil {
				t.Fatal(err)
			}
			if want := theirs.Reverse().And(ours); a.Direction != want || b.Direction != want.Reverse() || a.Codec != b.Codec {
				t.Errorf("%v to %v: answerer %v, offerer %v", theirs, ours, a.Direction, b.Direction)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", plain, string(local.Offer()), strings.ReplaceAll(plain, "\r\n", "\n"),
		"m=audio 1 RTP/AVP 8\nc=IN IP6 ::1\na=rtcp:9 IN IP6 ::\n",
		"o=a b c 1 2 IN IP4 h\nm=audio 65535/9 RTP/AVPF 0 101 \na=rtpmap:101 telephone-event/8000\na=sendonly",
		"m=video 0 RTP/AVP\nm=audio 5 RTP/SAVP 0\nm=audio 6 rtp/avp 9\nc=IN IP4 0.0.0.0/",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		body, chosen, err := local.Answer(s)
		if err != nil {
			return
		}
		// Whatever was offered, our answer is well-formed and ours.
		if bytes.Count(body, []byte("\nm=")) != len(s.media) || bytes.ContainsRune(body, 0) {
			t.Fatalf("answer to %q:\n%s", b, body)
		}
		for line := range bytes.SplitSeq(bytes.TrimSuffix(body, []byte("\r\n")), []byte("\r\n")) {
			if len(line) < 2 || line[1] != '=' || bytes.ContainsAny(line, "\r\n") {
				t.Fatalf("answer to %q has line %q", b, line)
			}
		}
		again, err := Parse(body)
		if err != nil {
			t.Fatalf("answer to %q: %v", b, err)
		}
		if back, err := Accept(local.Codecs, again); err != nil || back.Codec != chosen.Codec || back.PT != chosen.PT || back.Direction != chosen.Direction.Reverse() {
			t.Fatalf("answer to %q: %+v, %v", b, back, err)
		}
	})
}
