package e2e

import (
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/freepbx/freepbxtest"
	"github.com/perezvon/perezvon/internal/serverproc"
)

// freePBX is a FreePBX's database with the extensions 101 to 103.
func freePBX(t *testing.T) *freepbxtest.FreePBX {
	t.Helper()
	pbx, err := freepbxtest.Run(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = pbx.Stop() }) // the test may have stopped it
	for extension, name := range map[string]string{"101": "Анна", "102": "Борис", "103": ""} {
		pbx.Extension(t, extension, name, "")
	}
	return pbx
}

// beside are the options of a server beside it.
func beside(pbx *freepbxtest.FreePBX, o serverproc.Options) serverproc.Options {
	o.Args, o.Env = append(o.Args, "--freepbx-every", "1s"), append(o.Env, "PEREZVON_FREEPBX="+pbx.URL)
	return o
}

// talked is the record of a call that the operator had with the client.
func talked(operator string, ago time.Duration) freepbxtest.Record {
	return freepbxtest.Record{
		At: time.Now().Add(-ago), Src: "89160000001", Dst: operator, Channel: "PJSIP/city-1", DstChannel: "PJSIP/" + operator + "-2", LastApp: "Dial",
		Duration: 60, BillSec: 50, Disposition: "ANSWERED", UniqueID: "1.1", LinkedID: "1.1",
	}
}

// isResponsible waits until the operator is responsible for the client.
func (s *server) isResponsible(operator string) {
	s.t.Helper()
	until(s.t, operator+" is responsible", func() bool {
		var found struct{ Operator *string }
		must(s.t, s.API.Do(limit(s.t), http.MethodGet, "/api/v1/responsible?number=%2B79160000001", nil, &found))
		return found.Operator != nil && *found.Operator == operator
	})
}

func TestAFreePBXIsReadAndItsExtensionsAreOperators(t *testing.T) {
	t.Parallel()
	pbx := freePBX(t)
	srv := start(t, beside(pbx, serverproc.Options{Data: filepath.Join(t.TempDir(), "data")}))
	pbx.Add(t, talked("101", time.Hour))
	out := srv.freepbx("operators", "--dry-run")
	if !strings.Contains(out, `+ 101  name: "" → "Анна"`) || !strings.Contains(out, "Nothing was changed.") {
		t.Errorf("%s", out)
	}
	var operators struct{ Items []packet }
	if must(t, srv.API.Do(limit(t), http.MethodGet, "/api/v1/operators", nil, &operators)); len(operators.Items) > 0 {
		t.Errorf("%v", operators)
	}
	srv.freepbx("operators")
	srv.isResponsible("101")
	pbx.Add(t, talked("102", time.Minute))
	srv.isResponsible("102")
	if out := srv.freepbx("import", "--all"); !strings.HasPrefix(out, "2 new records, 2 of them") {
		t.Errorf("%s", out)
	}

	const two = "101-102"
	if out := srv.freepbx("noanswer", two, "--dry-run"); !strings.Contains(out, "101  Анна   (none) → operators-alert,s,1") || !strings.Contains(out, "Nothing was changed.") {
		t.Errorf("%s", out)
	}
	if out := srv.freepbx("noanswer", two); !strings.Contains(out, "fwconsole reload") {
		t.Errorf("%s", out)
	}
	leads := func(want string) {
		t.Helper()
		var got string
		must(t, pbx.DB.QueryRowContext(t.Context(), `SELECT GROUP_CONCAT(noanswer_dest ORDER BY extension SEPARATOR ';') FROM asterisk.users`).Scan(&got))
		if got != want {
			t.Errorf("unanswered calls go to %s, want %s", got, want)
		}
	}
	leads("operators-alert,s,1;operators-alert,s,1;")
	must(t, srv.Kill()) // the way back is on the disk
	srv = start(t, beside(pbx, serverproc.Options{Data: srv.Data, Key: srv.API.Key}))
	if out := srv.freepbx("noanswer", "--undo"); !strings.Contains(out, "operators-alert,s,1 → (none)") {
		t.Errorf("%s", out)
	}
	leads(";;")

	// MariaDB away: what was read is known, and nothing else suffers.
	must(t, pbx.Stop())
	until(t, "the failure is counted", func() bool { return srv.metric("perezvon_freepbx_failures_total") > 0 })
	srv.isResponsible("102")
	problem := srv.API.Do(limit(t), http.MethodPost, "/api/v1/integrations/freepbx/import", packet{}, nil)
	if problem == nil || !strings.Contains(problem.Error(), "503") {
		t.Errorf("%v", problem)
	}
}

// freepbx runs `perezvon freepbx`.
func (s *server) freepbx(args ...string) string {
	s.t.Helper()
	return run(s.t, append([]string{"freepbx", "--server", s.API.Base, "--key", s.API.Key}, args...)...)
}

// metric is the value of a counter without labels.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	res, err := http.Get(s.API.Base + "/metrics")
	must(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(s.t, err)
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if m == nil {
		s.t.Fatalf("no %s", name)
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	must(s.t, err)
	return v
}
