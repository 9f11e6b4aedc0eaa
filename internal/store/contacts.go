package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/numbering"
)

// ownCalls is the source of contacts that this server made itself.
const ownCalls = "own"

const saveContactSQL = `
	INSERT INTO contacts (account_id, call_id, operator, outside, client_key, client, at, outcome, direction, passed_over, source)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
	ON CONFLICT (account_id, call_id, operator) DO UPDATE SET
		at = excluded.at, outcome = excluded.outcome, passed_over = excluded.passed_over`

// saveContacts writes the call's contacts that an event after since has
// changed. A client without a number to recognise him by has none.
func saveContacts(ctx context.Context, tx *Tx, c call.Call, since int64) error {
	contacts := c.Contacts()
	if len(contacts) == 0 {
		return nil
	}
	key, e164 := numbering.Key(c.Client)
	if key == "" {
		return nil
	}
	for _, one := range contacts {
		if one.LastSeq <= since {
			continue
		}
		err := tx.run(ctx, saveContactSQL, c.Account, c.ID, text(one.Operator), one.Outside, key, e164,
			one.At.UnixMilli(), string(one.Outcome), string(c.Direction), one.PassedOver, ownCalls)
		if err != nil {
			return err
		}
	}
	return nil
}

// mostGone is how many contacts with operators who are no longer there a
// look-up passes by before it gives up.
const mostGone = 32

// responsibleSQL reads the client's contacts from the end of the index that
// the policy says. Two numbers in E.164 are compared whole. Operators are
// counted because PostgreSQL would make a table of all of them for an EXISTS.
func responsibleSQL(policy call.Policy) string {
	order := "DESC"
	if policy == call.PolicyFirst {
		order = "ASC"
	}
	return strings.NewReplacer("@", order, "#", strconv.Itoa(mostGone)).Replace(`
		SELECT operator, call_id, at, outcome, direction, outside
			OR (SELECT COUNT(*) FROM operators o WHERE o.account_id = $1 AND o.extension = contacts.operator) > 0
		FROM contacts
		WHERE account_id = $1 AND client_key = $2 AND at BETWEEN $3 AND $4 AND NOT passed_over
			AND outcome IN ($5, $6, $7, $8) AND ($9 OR NOT outside) AND (client = '' OR $10 = '' OR client = $10)
		ORDER BY at @, call_id @, operator @ LIMIT #`)
}

// Responsible is who is responsible for the client with that number: by the
// operators' contacts with him, as the rule says. Numbers are compared by the
// last ten digits, and whole where both are in E.164 (numbering.Key).
//
// It costs one probe of an index, however many calls there are. Operators who
// were deleted are passed by; after 32 contacts with such it gives up. That
// nobody is responsible is no error: the Reason says why. A rule with an
// unknown policy or outcome, or a negative Window, is an invalid.Error.
func (s *Store) Responsible(ctx context.Context, account, number string, rule call.ResponsibleRule) (call.Responsible, error) {
	rule = rule.WithDefaults()
	q, err := newLookUp(account, number, rule, time.Now())
	if err != nil || q.nobody != "" {
		return call.Responsible{Reason: q.nobody}, err
	}
	rows, err := s.reader.QueryContext(ctx, q.text, q.args...)
	if err != nil {
		return call.Responsible{}, err
	}
	defer rows.Close()
	var gone []string
	for rows.Next() {
		var (
			r         call.Responsible
			ms        int64
			direction call.Direction
			there     bool
		)
		if err := rows.Scan(&r.Operator, &r.CallID, &ms, &r.Outcome, &direction, &there); err != nil {
			return call.Responsible{}, err
		}
		if there {
			r.At, r.Source = fromMS(ms), call.SourceCalls
			r.Reason = q.found(r, direction)
			return r, nil
		}
		gone = append(gone, r.Operator)
	}
	return call.Responsible{Reason: q.notFound(gone)}, rows.Err()
}

// lookUp is one question for the responsible manager.
type lookUp struct {
	rule   call.ResponsibleRule
	text   string
	args   []any
	nobody string // why there is nothing to ask
}

func newLookUp(account, number string, rule call.ResponsibleRule, now time.Time) (lookUp, error) {
	q := lookUp{rule: rule}
	if err := checkRule(rule); err != nil {
		return q, err
	}
	key, e164 := numbering.Key(number)
	switch {
	case strings.TrimSpace(number) == "":
		q.nobody = "the client has no number"
		return q, nil
	case key == "":
		q.nobody = "the client's number does not have ten digits to recognise him by"
		return q, nil
	}
	since := int64(0)
	if rule.Window != call.Ever {
		since = now.Add(-rule.Window).UnixMilli()
	}
	q.text = responsibleSQL(rule.Policy)
	q.args = []any{text(account), key, since, now.UnixMilli()}
	for i := range len(call.ContactOutcomes()) {
		outcome := ""
		if i < len(rule.Outcomes) {
			outcome = string(rule.Outcomes[i])
		}
		q.args = append(q.args, outcome)
	}
	q.args = append(q.args, rule.Outside, e164)
	return q, nil
}

func checkRule(rule call.ResponsibleRule) error {
	var bad invalid.Error
	if rule.Window < 0 && rule.Window != call.Ever {
		bad.Add("window", "is negative")
	}
	if rule.Policy != call.PolicyLast && rule.Policy != call.PolicyFirst {
		bad.Add("policy", "want last or first")
	}
	known := call.ContactOutcomes()
	if len(rule.Outcomes) > len(known) {
		bad.Add("outcomes", "an outcome is named twice")
	}
	for i, outcome := range rule.Outcomes {
		if !slices.Contains(known, outcome) {
			bad.Add(fmt.Sprintf("outcomes[%d]", i), fmt.Sprintf("want one of %v", known))
		}
	}
	return bad.Err()
}

// words are the outcomes as a sentence wants them.
var words = map[call.ContactOutcome]string{
	call.ContactAnswered: "answered", call.ContactNoAnswer: "not answered", call.ContactBusy: "busy", call.ContactFailed: "failed",
}

func (q lookUp) found(r call.Responsible, direction call.Direction) string {
	return fmt.Sprintf("%s has the %s contact with the client: %s, %s at %s",
		r.Operator, q.rule.Policy, direction, words[r.Outcome], r.At.Format(time.RFC3339))
}

func (q lookUp) notFound(gone []string) string {
	within := "ever"
	if q.rule.Window != call.Ever {
		within = "within " + directory.Duration(q.rule.Window).String()
	}
	if len(gone) == 0 {
		return "no operator has been in touch with the client " + within
	}
	slices.Sort(gone)
	return fmt.Sprintf("who has been in touch with the client %s is no operator any more: %s", within, strings.Join(slices.Compact(gone), ", "))
}
