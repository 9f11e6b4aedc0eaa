package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/serverproc"
)

// ErrNotTold means that the CRM does not have the call once, with its recording.
var ErrNotTold = errors.New("the CRM does not have the call as it should")

// reach are the flags that let the server reach the portal, if that is in a
// private network.
func (d Demo) reach() []string {
	u, err := url.Parse(d.Bitrix24)
	if err != nil {
		return nil // connect says what is wrong
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil // a name, of a portal in public
	}
	return []string{"--outbound-allow", netip.PrefixFrom(ip, ip.BitLen()).String()}
}

// connect lets the server know of the portal, if there is one.
func (d Demo) connect(ctx context.Context, srv *serverproc.Process) error {
	if d.Bitrix24 == "" {
		return nil
	}
	err := srv.API.Do(ctx, http.MethodPut, "/api/v1/integrations/bitrix24", map[string]any{"webhook_url": d.Bitrix24}, nil)
	if err != nil {
		return fmt.Errorf("connect with Bitrix24: %w", err)
	}
	return nil
}

// askCRM waits until the portal was told everything of the call, asks it by its
// own API what it has, and prints that.
func (d Demo) askCRM(ctx context.Context, srv *serverproc.Process, callID string) error {
	if d.Bitrix24 == "" {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the CRM takes too long"))
	defer cancel()
	if err := told(ctx, srv, callID); err != nil {
		return fmt.Errorf("tell Bitrix24: %w", errors.Join(err, context.Cause(ctx)))
	}
	has, err := d.statistics(ctx, callID)
	if err != nil {
		return fmt.Errorf("ask Bitrix24: %w", err)
	}
	if len(has) != 1 || has[0].Record == "" {
		return fmt.Errorf("%w: %+v", ErrNotTold, has)
	}
	c := has[0]
	u, err := url.Parse(d.Bitrix24)
	if err != nil {
		return err
	}
	kind := c.Type
	if kind == "4" { // the types of telephony.externalCall.register
		kind = string(call.Callback)
	}
	fmt.Fprintf(d.Out, "Bitrix24   one call: %s, %s, responsible user %s, %s s, status %s, recording attached\n           %s://%s/\n",
		c.Client, kind, c.User, c.Duration, c.Status, u.Scheme, u.Host)
	return nil
}

// told waits until nothing of the call waits for the portal any more.
func told(ctx context.Context, srv *serverproc.Process, callID string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var list struct {
			Items []struct {
				Kind, State, Target string
				LastError           string `json:"last_error"`
			}
		}
		if err := srv.API.Do(ctx, http.MethodGet, "/api/v1/deliveries?call_id="+callID, nil, &list); err != nil {
			return err
		}
		waiting := len(list.Items) == 0
		for _, one := range list.Items {
			switch one.State {
			case "dead":
				return fmt.Errorf("%w: %s: %s", ErrNotTold, one.Target, one.LastError)
			case "waiting":
				waiting = true
			}
		}
		if !waiting {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// inStatistics is a call as voximplant.statistic.get tells it.
type inStatistics struct {
	Client   string `json:"PHONE_NUMBER"`
	Type     string `json:"CALL_TYPE"`
	User     string `json:"PORTAL_USER_ID"`
	Duration string `json:"CALL_DURATION"` // s
	Status   string `json:"CALL_FAILED_CODE"`
	Record   string `json:"RECORD_FILE_ID"`
}

// statistics are the portal's entries of the call: people see one for each.
func (d Demo) statistics(ctx context.Context, callID string) ([]inStatistics, error) {
	body, err := json.Marshal(map[string]any{"FILTER": map[string]any{"EXTERNAL_CALL_ID": callID}})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(d.Bitrix24, "/")+"/voximplant.statistic.get.json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct {
		Result []inStatistics `json:"result"`
		Error  string         `json:"error_description"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %w", res.Status, err)
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Result, nil
}
