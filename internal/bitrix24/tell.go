package bitrix24

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

// Methods that are named more than once.
const (
	methodRegister   = "telephony.externalCall.register"
	methodFinish     = "telephony.externalCall.finish"
	methodRecord     = "telephony.externalCall.attachRecord"
	methodComment    = "crm.activity.update"
	methodTranscript = "telephony.call.attachTranscription"
)

// progress is how far the portal has been told of a call. It is on the disk
// before anything is sent that must not be sent twice.
type progress struct {
	Portal string `json:"portal"` // its host: another knows nothing of the call
	// User is whom the call is registered for. It stays the same when register
	// is repeated: the portal knows the repetition by it.
	User        int64     `json:"user,omitempty"`
	Registering time.Time `json:"registering,omitzero"` // since when
	// CallID is the portal's name of the call; empty: not registered.
	CallID    string `json:"call_id,omitempty"`
	Finishing bool   `json:"finishing,omitempty"`
	Finished  bool   `json:"finished,omitempty"`
	Activity  int64  `json:"activity,omitempty"` // of the CRM, that stands for the call
	// Upload is where the recording goes, asked for ahead; nil: to be asked.
	Upload       *upload `json:"upload,omitempty"`
	Transcribing bool    `json:"transcribing,omitempty"`
}

// upload is where the portal takes a call's recording.
type upload struct {
	URL   string    `json:"uploadUrl"`
	Field string    `json:"fieldName"`
	At    time.Time `json:"at"` // when the portal said so
}

// fresh is how long an address for an upload is used. Nothing is documented; who
// is refused asks for another.
const fresh = 5 * time.Minute

func (p progress) uploads() bool { return p.Upload != nil && time.Since(p.Upload.At) < fresh }

// teller sends one step.
type teller struct {
	service  *Service
	portal   *portal
	delivery store.Delivery
	step     Step
	progress progress
	// commented: the list of stages is there, or is not taken.
	commented bool
}

func (s *Service) teller(ctx context.Context, p *portal, d store.Delivery) (*teller, error) {
	t := &teller{service: s, portal: p, delivery: d}
	if err := json.Unmarshal(d.Body, &t.step); err != nil {
		return nil, err
	}
	raw, err := s.config.Store.Bitrix24Progress(ctx, d.CallID)
	if err == nil {
		err = json.Unmarshal(raw, &t.progress)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	k := p.settings()
	if host := k.host(); t.progress.Portal != host {
		t.progress = progress{Portal: host}
	}
	return t, nil
}

// save puts the progress on the disk.
func (t *teller) save(ctx context.Context) error {
	raw, err := json.Marshal(t.progress)
	if err != nil {
		return err
	}
	return t.service.config.Store.SaveBitrix24Progress(context.WithoutCancel(ctx), t.delivery.CallID, raw)
}

// late tells that the step is about a card that nobody needs to see any more.
func (t *teller) late(ctx context.Context) (bool, error) {
	if t.step.Do != DoShow && t.step.Do != DoHide {
		return false, nil
	}
	if k := t.portal.settings(); !k.shows() || time.Since(t.delivery.CreatedAt) > stale {
		return true, nil
	}
	c, err := t.service.config.Store.Call(ctx, t.delivery.Account, t.delivery.CallID)
	return err == nil && !c.EndedAt.IsZero(), err // finish closes them all
}

// tell carries out the step.
func (t *teller) tell(ctx context.Context) error {
	if err := t.register(ctx); err != nil {
		return err
	}
	switch t.step.Do {
	case DoShow, DoHide:
		return t.card(ctx)
	case DoFinish:
		return t.finish(ctx)
	case DoRecord:
		return t.record(ctx)
	case DoTranscript:
		return t.transcript(ctx)
	}
	return nil
}

// sameCall is how long a repeated registration is the same call to the portal:
// documented are 30 minutes.
const sameCall = 25 * time.Minute

// register makes the call known, if it is not. A repetition within half an hour
// gives the CALL_ID of the first time; later it makes another registration. That
// does no harm: one that is never finished is in no list of the portal.
func (t *teller) register(ctx context.Context) error {
	if t.progress.CallID != "" {
		return nil
	}
	r := t.step.Call
	if r.CallID != "" {
		t.progress.CallID = r.CallID
		return t.save(ctx)
	}
	k := t.portal.settings()
	if t.progress.User == 0 {
		user, err := t.portal.user(ctx, r.Operator)
		if err != nil {
			return err
		}
		t.progress.User = cmp.Or(user, k.user())
	}
	switch {
	case t.progress.Registering.IsZero():
		t.progress.Registering = time.Now()
	case time.Since(t.progress.Registering) > sameCall: // an answer was lost long ago
		if err := t.look(ctx, "EXTERNAL_CALL_ID", r.ID); err != nil || t.progress.CallID != "" {
			return err
		}
	}
	if err := t.save(ctx); err != nil {
		return err
	}
	var registered struct {
		CallID string `json:"CALL_ID"`
	}
	err := t.portal.call(ctx, methodRegister, t.registration(k), &registered)
	if is(err, textNoUser) && t.progress.User != k.user() {
		t.progress.User = k.user()
		if err := t.save(ctx); err != nil {
			return err
		}
		t.portal.limits.count()
		err = t.portal.call(ctx, methodRegister, t.registration(k), &registered)
	}
	if err != nil {
		return err
	}
	if registered.CallID == "" {
		return &Error{Method: methodRegister, Status: 502, Description: "the answer has no CALL_ID"}
	}
	t.progress.CallID = registered.CallID
	return t.save(ctx)
}

func (t *teller) registration(k kept) map[string]any {
	r := t.step.Call
	params := map[string]any{
		"USER_ID": t.progress.User, "PHONE_NUMBER": r.Client, "TYPE": r.Type, "EXTERNAL_CALL_ID": r.ID,
		"CALL_START_DATE": r.At.Format(time.RFC3339), "CRM_CREATE": flag(k.creates()),
		"SHOW": flag(k.shows() && t.step.Do == DoRegister && time.Since(t.delivery.CreatedAt) < stale),
	}
	if k.Line != "" {
		params["LINE_NUMBER"] = k.Line
	}
	return params
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

func (t *teller) card(ctx context.Context) error {
	user, err := t.portal.user(ctx, t.step.Operator)
	if err != nil || user == 0 {
		return err
	}
	// false: the portal knows the call no more. There is no card then.
	return t.portal.call(ctx, t.step.method(), map[string]any{"CALL_ID": t.progress.CallID, "USER_ID": user}, nil)
}

// finish ends the call there. It makes the record of the call, so it must happen
// once: whoever cannot know whether it has, looks first.
func (t *teller) finish(ctx context.Context) error {
	if !t.progress.Finished && t.progress.Finishing {
		if err := t.look(ctx, "CALL_ID", t.progress.CallID); err != nil {
			return err
		}
	}
	for lost := false; !t.progress.Finished; lost = true {
		t.progress.Finishing = true
		if err := t.save(ctx); err != nil {
			return err
		}
		err := t.finishOnce(ctx)
		if !is(err, textNotFound) {
			if err != nil {
				return err
			}
			break
		}
		if lost {
			return err
		}
		// It is finished, or the portal has forgotten it.
		if err := t.look(ctx, "CALL_ID", t.progress.CallID); err != nil || t.progress.Finished {
			if err != nil {
				return err
			}
			break
		}
		t.progress.CallID, t.progress.Registering = "", time.Time{}
		t.step.Call.CallID = ""
		t.portal.limits.count()
		if err := t.register(ctx); err != nil {
			return err
		}
	}
	return t.comment(ctx)
}

func (t *teller) finishOnce(ctx context.Context) error {
	k := t.portal.settings()
	user, err := t.portal.user(ctx, t.step.Operator)
	if err != nil {
		return err
	}
	if user == 0 && t.step.Operator != "" {
		user = k.user() // never somebody else who had the call before
	}
	params := map[string]any{
		"CALL_ID": t.progress.CallID, "USER_ID": cmp.Or(user, t.progress.User, t.step.Call.User, k.user()), "DURATION": t.step.DurationS,
		"STATUS_CODE": t.step.Status, "FAILED_REASON": t.step.Reason,
	}
	if done, err := t.finishInBatch(ctx, params); done || err != nil {
		return err
	}
	var f finished
	err = t.portal.call(ctx, methodFinish, params, &f)
	if is(err, textNoUser) && params["USER_ID"] != k.user() {
		params["USER_ID"] = k.user()
		t.portal.limits.count()
		err = t.portal.call(ctx, methodFinish, params, &f)
	}
	if err != nil {
		return err
	}
	t.progress.Finished, t.progress.Activity = true, int64(f.Activity)
	return t.save(ctx)
}

// finished is what finish answers.
type finished struct {
	Activity number `json:"CRM_ACTIVITY_ID"`
}

// finishInBatch finishes the call and, by the same request, writes the comment
// and asks where the recording goes, if that is ready. done: it is finished. What
// the portal has not carried out of the rest is left to the ways that it has
// alone, and so is finish if nothing was.
//
// It is sent under the same conditions as finish alone: on the disk are the
// CALL_ID, for which register is not part of it, and that finish is under way
// (docs/decisions/0017-bitrix24-batch.md).
func (t *teller) finishInBatch(ctx context.Context, params map[string]any) (done bool, err error) {
	b, err := t.ending(ctx, params)
	if err != nil || len(b) == 1 || t.portal.limits.blocks(methodBatch) {
		return false, err
	}
	if err := b.ask(ctx, t.portal); err != nil {
		if unbatched(err) {
			err = nil
			t.portal.limits.count()
		}
		return false, err
	}
	for _, c := range b {
		if c.refusedFor(codeQueryLimit) || c.refusedFor(codeOperationLimit) && c.method != methodRecord {
			err = c.failed // to ask again at once would be in vain
		}
		switch c.method {
		case methodFinish:
			var f finished
			if !c.into(&f) {
				t.portal.limits.count()
				return false, err
			}
			t.progress.Finished, t.progress.Activity = true, int64(f.Activity)
		case methodRecord:
			if u := (upload{At: time.Now()}); c.into(&u) && u.URL != "" {
				t.progress.Upload = &u
			}
			if c.refusedFor(codeOperationLimit) {
				t.portal.limits.block(methodRecord)
			}
		case methodComment:
			if t.commented = c.result != nil; c.failed != nil && denied(c.failed) {
				t.uncommented(ctx, c.failed)
			}
		}
	}
	return true, errors.Join(t.save(ctx), err)
}

// ending is finish and what can be done with it.
func (t *teller) ending(ctx context.Context, params map[string]any) (batch, error) {
	b := batch{{name: "finish", method: methodFinish, params: params}}
	c, err := t.service.config.Store.Call(ctx, t.delivery.Account, t.delivery.CallID)
	if err != nil {
		return nil, err
	}
	limits := t.portal.limits
	if c.Recording == call.RecordingReady && !limits.blocks(methodRecord) {
		b = append(b, command{name: "record", method: methodRecord, params: t.attachment()})
	}
	if t.step.Comment != "" && !limits.blocks(methodComment) {
		// The last, because without an activity it fails, and there is one only
		// if the client is in the CRM.
		b = append(b, command{name: "comment", method: methodComment, params: t.description(resultOf{"finish", "CRM_ACTIVITY_ID"})})
	}
	return b, nil
}

// look finds the call among those that are finished there.
func (t *teller) look(ctx context.Context, field, value string) error {
	var list []struct {
		CallID     string `json:"CALL_ID"`
		Activity   number `json:"CRM_ACTIVITY_ID"`
		Transcript number `json:"TRANSCRIPT_ID"`
	}
	t.portal.limits.count()
	err := t.portal.call(ctx, "voximplant.statistic.get", map[string]any{"FILTER": map[string]any{field: value}}, &list)
	if denied(err) {
		// Without the right to look, the portal's own refusal has to do: it
		// finishes a call once.
		return nil
	}
	if err != nil || len(list) == 0 {
		return err
	}
	t.progress.CallID, t.progress.Activity = list[0].CallID, int64(list[0].Activity)
	t.progress.Finishing, t.progress.Finished = true, true
	t.progress.Transcribing = t.progress.Transcribing && list[0].Transcript == 0
	return t.save(ctx)
}

// comment writes the stages into the CRM's activity. The client may be unknown
// there and the right crm may be missing; the call is told all the same.
func (t *teller) comment(ctx context.Context) error {
	if t.commented || t.step.Comment == "" || t.progress.Activity == 0 {
		return nil
	}
	t.portal.limits.count()
	err := t.portal.call(ctx, methodComment, t.description(t.progress.Activity), nil)
	var e *Error
	if denied(err) || errors.As(err, &e) && e.fate() == fateRefused {
		t.uncommented(ctx, err)
		return nil
	}
	return err
}

// description is the stages as the description of an activity.
func (t *teller) description(activity any) map[string]any {
	return map[string]any{"id": activity, "fields": map[string]any{"DESCRIPTION": t.step.Comment, "DESCRIPTION_TYPE": 1}}
}

// uncommented gives the comment up.
func (t *teller) uncommented(ctx context.Context, why error) {
	t.commented = true
	t.service.config.Logger.WarnContext(ctx, "Bitrix24 does not take the list of stages", "call", t.delivery.CallID, "error", why.Error())
}

// record attaches the recording, in place of one that is attached already.
func (t *teller) record(ctx context.Context) error {
	send := func(to upload) error {
		return t.portal.upload(ctx, to.URL, cmp.Or(to.Field, "file"), t.service.config.Recording(t.delivery.CallID), t.filename())
	}
	if t.progress.uploads() {
		err := send(*t.progress.Upload)
		var e *Error
		if !errors.As(err, &e) {
			return err
		}
		// It may have been too long ago.
		t.progress.Upload = nil
		if err := t.save(ctx); err != nil {
			return err
		}
		if e.fate() != fateRefused {
			return err
		}
		t.portal.limits.count()
		t.portal.limits.count()
	}
	var to upload
	if err := t.portal.call(ctx, methodRecord, t.attachment(), &to); err != nil {
		return err
	}
	if to.URL == "" {
		return &Error{Method: methodRecord, Status: 502, Description: "the answer has no uploadUrl"}
	}
	return send(to)
}

// attachment are the parameters of attachRecord.
func (t *teller) attachment() map[string]any {
	return map[string]any{"CALL_ID": t.progress.CallID, "FILENAME": t.filename()}
}

func (t *teller) filename() string { return t.delivery.CallID + ".wav" }

// transcript attaches what was said, unless it is there.
func (t *teller) transcript(ctx context.Context) error {
	segments, err := t.service.config.Store.Transcript(ctx, t.delivery.Account, t.delivery.CallID)
	if err != nil || len(segments) == 0 {
		return err
	}
	if t.progress.Transcribing {
		if err := t.look(ctx, "CALL_ID", t.progress.CallID); err != nil || !t.progress.Transcribing {
			return err
		}
	}
	t.progress.Transcribing = true
	if err := t.save(ctx); err != nil {
		return err
	}
	messages := make([]map[string]any, len(segments))
	for i, s := range segments {
		side := "User"
		if s.Speaker == call.ClientSpeaks {
			side = "Client"
		}
		from := int(math.Floor(s.FromS))
		messages[i] = map[string]any{"SIDE": side, "START_TIME": from, "STOP_TIME": max(from+1, int(math.Ceil(s.ToS))), "MESSAGE": s.Text}
	}
	return t.portal.call(ctx, methodTranscript, map[string]any{"CALL_ID": t.progress.CallID, "MESSAGES": messages}, nil)
}
