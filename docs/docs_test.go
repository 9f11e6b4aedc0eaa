package docs_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/config"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/scenario"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// needs fails for each row that the page's tables lack.
func needs(t *testing.T, name string, rows ...string) {
	t.Helper()
	text := page(t, name)
	for _, row := range rows {
		if !strings.Contains(text, "\n| "+row) {
			t.Errorf("%s lacks a row that begins with | %s", name, row)
		}
	}
}

// Every setting has a row with its default as the server has it.
func TestInstallListsEverySetting(t *testing.T) {
	defaults := reflect.ValueOf(config.Default())
	var rows []string
	for i := range defaults.NumField() {
		row := fmt.Sprintf("`--%s` | |", defaults.Type().Field(i).Tag.Get("name"))
		if v := defaults.Field(i); !v.IsZero() || v.Kind() == reflect.Bool {
			row = strings.Replace(row, "| |", fmt.Sprintf("| `%v` |", v.Interface()), 1)
		}
		rows = append(rows, row)
	}
	needs(t, "install.md", rows...)
}

func TestCallbackListsEveryFieldStatusAndEvent(t *testing.T) {
	rows := fields(reflect.TypeFor[callback.Packet]())
	for _, s := range call.Statuses() {
		rows = append(rows, fmt.Sprintf("%d | `%s` |", s.Code, s.Slug))
	}
	for _, e := range []call.Type{
		call.Created, call.NodeChosen, call.CallerIDChosen, call.Dialing, call.Progress, call.Ringing, call.Answered, call.DialFailed, call.DialCancelled,
		call.LegEnded, call.PromptStarted, call.PromptEnded, call.DigitReceived, call.DigitsSent, call.KeyPressed, call.Waiting,
		call.RecordingStarted, call.Joined, call.Parted, call.Ended, call.RecordingState, call.Transcribed, call.NotTranscribed, call.Note,
	} {
		rows = append(rows, fmt.Sprintf("`%s` |", e))
	}
	needs(t, "callback.md", rows...)
}

// Each event has an example that could be one.
func TestWebhooksHasAnExampleOfEachEventAndEveryField(t *testing.T) {
	needs(t, "webhooks.md", fields(reflect.TypeFor[directory.Webhook]())...)
	text := page(t, "webhooks.md")
	for _, typ := range call.Types() {
		row := regexp.MustCompile(`(?m)^\| ` + "`" + regexp.QuoteMeta(string(typ)) + "` \\| `(\\{.*\\})` \\|$").FindStringSubmatch(text)
		if row == nil {
			t.Errorf("webhooks.md lacks an example of %s", typ)
			continue
		}
		d := json.NewDecoder(strings.NewReader(row[1]))
		d.DisallowUnknownFields()
		if err := d.Decode(new(call.Event)); err != nil {
			t.Errorf("the example of %s: %v", typ, err)
		}
	}
}

func TestTransfersListsItsEvents(t *testing.T) {
	needs(t, "transfers.md",
		fmt.Sprintf("`%s` |", call.TransferStarted), fmt.Sprintf("`%s` |", call.TransferDone), fmt.Sprintf("`%s` |", call.TransferFailed),
		fmt.Sprintf("`%s` |", call.TransferReturned), fmt.Sprintf("`%s`, `%s` |", call.Held, call.Resumed), fmt.Sprintf("`%s` |", call.Merged),
	)
}

func TestTrunksListsEveryField(t *testing.T) {
	needs(t, "trunks.md", fields(reflect.TypeFor[directory.Trunk]())...)
	needs(t, "trunks.md", fields(reflect.TypeFor[directory.Operator]())...)
}

func TestWidgetsListsEverySettingOfItsOwn(t *testing.T) {
	rows := fields(reflect.TypeFor[directory.Widget]())
	rows = append(rows, fields(reflect.TypeFor[directory.Hours]())...)
	needs(t, "widgets.md", rows...)
}

func TestInboundListsEverySettingAndStep(t *testing.T) {
	rows := fields(reflect.TypeFor[directory.Route]())
	for _, typ := range []reflect.Type{reflect.TypeFor[directory.Match](), reflect.TypeFor[directory.Step](), reflect.TypeFor[directory.Menu]()} {
		rows = append(rows, fields(typ)...)
	}
	needs(t, "inbound.md", rows...)
	text := page(t, "inbound.md")
	for _, typ := range []reflect.Type{
		reflect.TypeFor[directory.Responsible](), reflect.TypeFor[directory.ToQueue](), reflect.TypeFor[directory.ToOperator](), reflect.TypeFor[directory.ToNumber](), reflect.TypeFor[directory.Hangup](),
	} {
		for _, row := range fields(typ) {
			name := strings.Trim(row, "` |")
			if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, `"`+name+`"`) {
				t.Errorf("inbound.md does not mention %s", name)
			}
		}
	}
}

func TestQueuesListsEverySettingAndStrategy(t *testing.T) {
	rows := []string{}
	for _, typ := range []reflect.Type{reflect.TypeFor[directory.Queue](), reflect.TypeFor[directory.QueueAnnounce](), reflect.TypeFor[directory.CallbackOffer]()} {
		rows = append(rows, fields(typ)...)
	}
	for _, strategy := range directory.Strategies() {
		rows = append(rows, "`"+strategy+"` |")
	}
	needs(t, "queues.md", rows...)
}

func TestNoticesListsEveryEventAndReason(t *testing.T) {
	rows := []string{}
	for _, e := range []call.Type{call.NoticePlayed, call.NoticeRecorded, call.NoticeDeleted} {
		rows = append(rows, fmt.Sprintf("`%s` |", e))
	}
	for _, why := range scenario.Missed() {
		rows = append(rows, fmt.Sprintf("`%s` |", why))
	}
	needs(t, "notices.md", rows...)
}

func TestWidgetsListsEveryFieldOfATrial(t *testing.T) {
	var rows []string
	for _, typ := range []reflect.Type{reflect.TypeFor[dryrun.Order](), reflect.TypeFor[dryrun.Script]()} {
		rows = append(rows, fields(typ)...)
	}
	needs(t, "widgets.md", rows...)
}

// fields are the JSON names of a struct, as the first cell of a row.
func fields(typ reflect.Type) (rows []string) {
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if name == "" {
			continue // embedded: a page of its own
		}
		rows = append(rows, "`"+name+"` |")
	}
	return rows
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Links between the pages, and from them into the tree, lead somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(pages, "../README.md", "../README.ru.md") {
		for _, m := range link.FindAllStringSubmatch(page(t, name), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue // an address
			}
			file := name
			if target != "" {
				file = filepath.Join(filepath.Dir(name), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
				continue
			}
			if anchor != "" && !anchors(page(t, file))[anchor] {
				t.Errorf("%s links to %s: there is no such heading", name, m[1])
			}
		}
	}
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors are what GitHub makes of the headings of a page.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for line := range strings.Lines(text) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			heading = notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			all[strings.ReplaceAll(heading, " ", "-")] = true
		}
	}
	return all
}

// The pages that go through a source sentence by sentence name tests that exist.
func TestTheTestsOfEachSentenceExist(t *testing.T) {
	exist := make(map[string]bool)
	err := filepath.WalkDir("../internal", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			exist[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, least := range map[string]int{"callback-v11.md": 40, "responsible.md": 5, "notices.md": 15} {
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(page(t, name), -1)
		if len(named) < least {
			t.Errorf("%s names only %d tests", name, len(named))
		}
		for _, m := range named {
			if !exist[m[1]] {
				t.Errorf("%s: there is no test %s", name, m[1])
			}
		}
	}
}
