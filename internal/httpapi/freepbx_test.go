package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/freepbx"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/invalid"
)

// neighbour is a FreePBX that remembers what it was asked.
type neighbour struct {
	err   error
	all   bool
	order freepbx.NoAnswerOrder
}

func (n *neighbour) Stats() freepbx.Stats { return freepbx.Stats{Records: 3, Contacts: 2, Failures: 1} }

func (n *neighbour) Read(_ context.Context, all bool) (freepbx.Stats, error) {
	n.all = all
	return freepbx.Stats{Records: 7, Contacts: 5}, n.err
}

func (n *neighbour) ImportOperators(_ context.Context, dryRun bool) ([]freepbx.OperatorChange, error) {
	action := freepbx.OperatorAdd
	if dryRun {
		action = freepbx.OperatorSame
	}
	return []freepbx.OperatorChange{{Extension: "101", Action: action, Fields: []freepbx.FieldChange{{Field: "name", FreePBX: "Anna"}}}}, n.err
}

func (n *neighbour) SetNoAnswer(_ context.Context, o freepbx.NoAnswerOrder) (freepbx.NoAnswerResult, error) {
	n.order = o
	return freepbx.NoAnswerResult{Changes: []freepbx.NoAnswerChange{{Extension: "101", Old: "a", New: "b"}}, Marked: true}, n.err
}

const freepbxPath = "/api/v1/integrations/freepbx"

func TestTheFreePBXBesideTheServerIsAskedOverTheAPI(t *testing.T) {
	n := &neighbour{}
	s := httpapitest.New(t, httpapitest.Options{FreePBX: n})
	for _, tt := range []struct{ method, path, body, want string }{
		{"GET", "", "", `{"records":3,"contacts":2,"failures":1,"last_read_at":null}`},
		{"POST", "/import", `{"all":true}`, `{"records":7,"contacts":5}`},
		{"POST", "/operators", `{"dry_run":true}`, `{"changes":[{"extension":"101","action":"same","fields":[{"field":"name","here":"","freepbx":"Anna","kept":false}]}]}`},
		{"POST", "/operators", `{}`, `{"changes":[{"extension":"101","action":"add","fields":[{"field":"name","here":"","freepbx":"Anna","kept":false}]}]}`},
		{"POST", "/noanswer", `{"extensions":"101-103","destination":"x,s,1","dry_run":true}`, `{"changes":[{"extension":"101","name":"","old":"a","new":"b"}],"marked":true,"reload":"fwconsole reload"}`},
	} {
		var body any
		if tt.body != "" {
			body = json.RawMessage(tt.body)
		}
		if a := s.Do(tt.method, freepbxPath+tt.path, body); a.Status != http.StatusOK || strings.TrimSpace(string(a.Body)) != tt.want {
			t.Errorf("%s: %d %s", tt.path, a.Status, a.Body)
		}
	}
	if !n.all || !n.order.DryRun || n.order.Undo || n.order.Destination != "x,s,1" || !slices.Equal(n.order.Extensions, []string{"101", "102", "103"}) {
		t.Errorf("%+v", n)
	}
	if a := s.Do("POST", freepbxPath+"/noanswer", json.RawMessage(`{"undo":true}`)); a.Status != http.StatusOK || len(n.order.Extensions) > 0 || !n.order.Undo {
		t.Errorf("%s %+v", a.Body, n.order)
	}
	for _, body := range []string{`{}`, `{"extensions":"1;reboot"}`} {
		if p := mustBeProblem(t, s.Do("POST", freepbxPath+"/noanswer", json.RawMessage(body)), 422); !slices.Equal(p.locations(), []string{"body.extensions"}) {
			t.Errorf("%s: %+v", body, p)
		}
	}
	n.err = invalid.Error{{Path: "extensions", Message: "FreePBX has no extension 999"}}
	if p := mustBeProblem(t, s.Do("POST", freepbxPath+"/noanswer", json.RawMessage(`{"extensions":"999"}`)), 422); p.Errors[0].Message != "FreePBX has no extension 999" {
		t.Errorf("%+v", p)
	}
	n.err = &freepbx.DatabaseError{Err: errors.New("connection refused")}
	for _, path := range []string{"/import", "/operators"} {
		if p := mustBeProblem(t, s.Do("POST", freepbxPath+path, json.RawMessage(`{}`)), 503); !strings.Contains(p.Detail, "connection refused") {
			t.Errorf("%+v", p)
		}
	}
}

func TestWithoutAFreePBXItsDoorsSaySo(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	mustBeProblem(t, s.Do("GET", freepbxPath, nil), 404)
	for _, path := range []string{"/import", "/operators", "/noanswer"} {
		if p := mustBeProblem(t, s.Do("POST", freepbxPath+path, json.RawMessage(`{}`)), 404); !strings.Contains(p.Detail, "--freepbx") {
			t.Errorf("%+v", p)
		}
	}
}
