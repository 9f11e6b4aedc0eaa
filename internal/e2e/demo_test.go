package e2e

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// "Also run by make demo so that a newcomer sees what the CRM would get": the
// demo's call is in the portal once, with who is responsible, its length, status,
// stages and recording. Ctrl-C ends everything.
func TestMakeDemo(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	demo := exec.Command("make", "--no-print-directory", "-C", "../..", "demo", "BIN="+t.TempDir(), "DEMO=--language en --data "+filepath.Join(t.TempDir(), "data")) //nolint:noctx // it is ended as a person does it
	demo.Stdout, demo.Stderr = &log, &log
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a terminal has it
	must(t, demo.Start())
	ended := make(chan error, 1)
	go func() { ended <- demo.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-demo.Process.Pid, syscall.SIGKILL)
		if t.Failed() {
			t.Log(log.String())
		}
	})
	until(t, "the demo is over and stays up", func() bool {
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
		return strings.Contains(log.String(), "Press Ctrl-C")
	})

	told := regexp.MustCompile(`Bitrix24   one call: \+79161234567, callback, responsible user 11, (\d+) s, status 200, recording attached\s+(http://(127\.0\.0\.1:\d+)/)`).FindStringSubmatch(log.String())
	if told == nil {
		t.Fatal("the demo does not tell what the CRM got")
	}
	page := string(fetch(t, told[2], ""))
	for _, want := range []string{"4, callback", "user 11", "+79161234567", "0:" + told[1], "200", " 101</dd>", "externalCall."} {
		if !strings.Contains(page, strings.ReplaceAll(want, "+", "&#43;")) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if n := strings.Count(page, "<article>"); n != 1 {
		t.Errorf("the page has %d calls", n)
	}
	if strings.Contains(page, `http-equiv="refresh"`) {
		t.Error("the page goes on loading itself while the record plays")
	}
	record := readStereo(t, fetch(t, told[2]+"records/0.wav", ""))
	for _, c := range []channel{record.left, record.right} {
		if level := rms(c.samples); level < 200 {
			t.Errorf("the %s channel of the record is silent: level %.0f", c.name, level)
		}
	}

	// The console knows of it all.
	console := regexp.MustCompile(`console and API  http://(\S+)\s+API key          (\S+)`).FindStringSubmatch(log.String())
	for path, want := range map[string]string{
		"/": "200</b> completed", "/operators": "registered, free", "/callbacks?state=all": "over</span>", "/queues": "No queues yet", "/bitrix24": "connected</span>",
		"/deliveries?kind=bitrix24": "bitrix24:telephony.externalCall.attachRecord",
	} {
		if page := string(fetch(t, "http://"+console[1]+path, console[2])); !strings.Contains(page, want) {
			t.Errorf("%s of the console lacks %q:\n%s", path, want, page)
		}
	}

	must(t, syscall.Kill(-demo.Process.Pid, syscall.SIGINT))
	select {
	case <-ended: // make itself calls it an error
	case <-limit(t).Done():
		t.Fatal("Ctrl-C does not end it")
	}
	if strings.Contains(log.String(), "perezvon:") || strings.Contains(log.String(), "portal:") {
		t.Error("it ends with an error")
	}
	until(t, "nothing is left running", func() bool { return errors.Is(syscall.Kill(-demo.Process.Pid, 0), syscall.ESRCH) })
	sip := regexp.MustCompile(`SIP              (\S+)`).FindStringSubmatch(log.String())
	for _, address := range []string{told[3], console[1], sip[1]} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("%s is not free: %v", address, err)
			continue
		}
		must(t, l.Close())
	}
}

// fetch gets a page, with a key if there is one.
func fetch(t *testing.T, address, key string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(limit(t), http.MethodGet, address, nil)
	must(t, err)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Accept", "text/html")
	}
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", address, res.Status)
	}
	return body
}
