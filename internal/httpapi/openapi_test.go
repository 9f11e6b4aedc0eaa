package httpapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

// The document in the repository is the one that is served. To renew it:
// PEREZVON_UPDATE=1 go test ./internal/httpapi -run OpenAPI
func TestOpenAPIDocumentIsCommitted(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	served := s.Do("GET", "/openapi.json", nil, "Authorization", "")
	var doc struct {
		OpenAPI string `json:"openapi"`
	}
	served.Into(t, &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, served.Body, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	const name = "openapi.json"
	if os.Getenv("PEREZVON_UPDATE") != "" {
		if err := os.WriteFile(name, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), pretty.String()); diff != "" {
		t.Errorf("renew it with PEREZVON_UPDATE=1; -committed +served:\n%s", diff)
	}
}
