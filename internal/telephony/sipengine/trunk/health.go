package trunk

import (
	"context"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/uuid"
)

const (
	// missesDown is how many OPTIONS in a row go unanswered before the trunk
	// counts as down: one packet may be lost.
	missesDown = 2
	// retryMissed is how soon it is asked again after a miss, if the interval
	// is not shorter: to know sooner that it is down, and that it is back.
	retryMissed = 10 * time.Second
)

// healthLoop asks the carrier with OPTIONS (RFC 3261 §11) until ctx ends.
func (t *Trunk) healthLoop(ctx context.Context) {
	interval := time.Duration(t.OptionsS) * time.Second
	for {
		err := t.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		t.noteHealth(err)
		wait := interval
		if err != nil {
			wait = min(interval, retryMissed)
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// ask sends one OPTIONS. Any final response is a sign of life, whatever it
// says of OPTIONS, but 503 (the carrier itself says that it cannot) and 408
// (what a proxy says of a carrier that is silent).
func (t *Trunk) ask(ctx context.Context) error {
	req := t.request(sip.OPTIONS)
	from := sip.Uri{Scheme: "sip", User: escapeUser(t.Username), Host: t.Host}
	req.AppendHeader(&sip.FromHeader{Address: from, Params: sip.HeaderParams{{K: "tag", V: sip.GenerateTagN(16)}}})
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", Host: t.Host}})
	callID := sip.CallIDHeader(uuid.NewString())
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.OPTIONS})
	contact := t.table.config.Contact(t.transport(), t.Host)
	req.AppendHeader(&sip.ContactHeader{Address: contact})
	req.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	res, err := t.table.config.Client.Do(ctx, req)
	if err != nil {
		return err
	}
	if res.StatusCode == sip.StatusServiceUnavailable || res.StatusCode == sip.StatusRequestTimeout {
		return &statusError{res}
	}
	return nil
}

func (t *Trunk) noteHealth(err error) {
	t.mu.Lock()
	before := t.missed
	if err == nil {
		t.missed = 0
		t.optError = ""
	} else {
		t.missed++
		t.optError = "OPTIONS: " + inWords(err)
	}
	after := t.missed
	t.mu.Unlock()
	switch {
	case after == missesDown:
		t.log.Warn("trunk is down", "err", err)
	case after == 0 && before >= missesDown:
		t.log.Info("trunk is up")
	}
}
