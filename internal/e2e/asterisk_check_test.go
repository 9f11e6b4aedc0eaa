package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/localasterisk"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
)

// An administrator's first minutes: what `config` prints goes into Asterisk's
// files, `check` finds no fault, before the server is there and while it makes a
// call, and the call is made.
func TestAnAsteriskWithWhatConfigPrintsPassesTheCheckAndMakesACallback(t *testing.T) {
	t.Parallel()
	manager, client := talkers(t)
	data := filepath.Join(t.TempDir(), "data")
	before := start(t, serverproc.Options{Data: data}) // the directory is set already
	before.trunk("managers", manager)
	before.trunk("clients", client)
	must(t, before.Stop())

	var node *localasterisk.Asterisk
	ask := func(args ...string) (out string, err error) {
		cmd := exec.CommandContext(limit(t), program, append([]string{"asterisk"}, args...)...)
		cmd.Args = append(cmd.Args, "--data", data, "--ari-url", node.URL)
		cmd.Env = append(os.Environ(), "PEREZVON_ARI_PASSWORD="+node.Password, "LC_ALL=C")
		var text, trouble bytes.Buffer
		cmd.Stdout, cmd.Stderr = &text, &trouble
		if err = cmd.Run(); err != nil {
			err = fmt.Errorf("%w\n%s", err, &trouble)
		}
		return text.String(), err
	}
	// As packages have it: all modules there are, and one UDP transport.
	asterisktest.StartWith(t, localasterisk.Options{Files: func(a *localasterisk.Asterisk) (map[string]string, error) {
		node = a
		printed, err := ask("config")
		if err != nil {
			return nil, err
		}
		files := make(map[string]string)
		for _, part := range strings.Split(printed, ";;;; ")[1:] {
			name, text, _ := strings.Cut(part, "\n")
			files[name] = text
		}
		files["modules.conf"] = "[modules]\nautoload = yes\n" + strings.Replace(files["modules.conf"], "[modules]\n", "", 1)
		files["pjsip.conf"] = fmt.Sprintf("[transport-udp]\ntype = transport\nprotocol = udp\nbind = %s\n%s", a.SIP, files["pjsip.conf"])
		return files, nil
	}})
	inOrder := func(want string) {
		out, err := ask("check", "--json")
		var report struct {
			OK       bool
			Findings []struct{ Check string }
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		found := false
		for _, f := range report.Findings {
			found = found || f.Check == want
		}
		if err != nil || !report.OK || !found {
			t.Errorf("%v, want %s:\n%s", err, want, out)
		}
	}
	inOrder("app.away")

	srv := start(t, serverproc.Options{
		Data: data, Args: []string{"--engine", "asterisk", "--ari-url", node.URL}, Env: []string{"PEREZVON_ARI_PASSWORD=" + node.Password},
	})
	meanwhile := make(chan struct{})
	go func() {
		defer close(meanwhile)
		inOrder("app.served")
	}()
	defer func() { <-meanwhile }()
	managerAndClientTalk(t, srv, manager, client)
	<-meanwhile

	// What is wrong is an exit status, and a remedy.
	node.Stop()
	out, err := ask("check", "--language", "ru")
	if err == nil || !strings.Contains(out, "ОШИБКА") || !strings.Contains(out, "http.conf: enabled = yes") {
		t.Errorf("%v:\n%s", err, out)
	}
}
