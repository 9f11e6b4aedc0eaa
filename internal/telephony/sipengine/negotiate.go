package sipengine

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/sdp"
	"github.com/perezvon/perezvon/internal/media/stream"
)

// errNoDescription: an answer without a session description.
var errNoDescription = errors.New("no session description in the answer")

// offers is the offer/answer state of a leg (RFC 3264): what we said last and
// what came of it. The leg's lock covers it.
type offers struct {
	local  sdp.Local
	body   []byte // our newest description, as sent
	chosen sdp.Chosen
}

// describe settles what we can say of ourselves toward that far end.
func (l *leg) describe(h hop, codecs []media.Codec) {
	ip, _ := l.e.local(h)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offers.local = sdp.Local{
		IP: ip, Port: l.stream.LocalPort(), Codecs: codecs,
		SessionID: uint64(rand.Uint32()), Version: 1,
	}
}

// offer is our description where the far end has given none: the one in force,
// word for word, if there is one (RFC 3264 §8: nothing changes), otherwise all
// we may speak.
func (l *leg) offer() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.offers.body == nil {
		l.offers.body = l.offers.local.Offer()
	}
	return l.offers.body
}

// accept takes the answer to our offer.
func (l *leg) accept(body []byte) error {
	if body == nil {
		return errNoDescription
	}
	answer, err := sdp.Parse(body)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	chosen, err := sdp.Accept(l.offers.local.Codecs, answer)
	if err != nil {
		return err
	}
	l.agree(chosen)
	return nil
}

// answer makes our answer to an offer and puts it in force. On an error what
// was agreed before stays.
func (l *leg) answer(body []byte) ([]byte, error) {
	offer, err := sdp.Parse(body)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	local := l.offers.local
	if now := l.offers.chosen.Codec; now != media.NoCodec {
		// A codec that both speak is not left without need: the recording and
		// the other leg would have to follow.
		local.Codecs = preferring(now, local.Codecs)
	}
	if l.offers.body != nil {
		local.Version++
	}
	answer, chosen, err := local.Answer(offer)
	if err != nil {
		return nil, err
	}
	if l.offers.body != nil && same(chosen, l.offers.chosen) && l.offers.chosen.Codec != media.NoCodec {
		// Nothing of ours differs: neither does our description.
		local.Version--
		if answer, chosen, err = local.Answer(offer); err != nil {
			return nil, err
		}
	}
	l.offers.local.Version, l.offers.body = local.Version, answer
	l.agree(chosen)
	return answer, nil
}

// preferring puts a codec first.
func preferring(first media.Codec, codecs []media.Codec) []media.Codec {
	out := []media.Codec{first}
	for _, c := range codecs {
		if c != first {
			out = append(out, c)
		}
	}
	return out
}

func same(a, b sdp.Chosen) bool {
	return a.Codec == b.Codec && a.PT == b.PT && a.EventPT == b.EventPT && a.Ptime == b.Ptime && a.Direction == b.Direction
}

// agree puts what was agreed in force. l.mu is held.
func (l *leg) agree(c sdp.Chosen) {
	l.offers.chosen = c
	l.offers.local.EventPT = c.EventPT
	held := c.Direction != sdp.SendRecv
	if l.held.On() && !held && !l.since.IsZero() {
		l.since = time.Now() // the silence of the hold does not count
	}
	l.held.Set(held)
	l.e.changes.tell(l.operator)
	if !l.since.IsZero() && l.info.Codec == media.NoCodec {
		l.info.Codec = c.Codec // it was in the ACK
	}
	if l.ended {
		return
	}
	l.stream.Configure(stream.Params{
		Codec: c.Codec, PT: c.PT, EventPT: c.EventPT, Remote: c.Remote, Ptime: c.Ptime,
		Send: c.Direction.Sends(), Receive: c.Direction.Receives(),
	})
}
