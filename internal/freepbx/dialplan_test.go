package freepbx_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/freepbx"
	"github.com/perezvon/perezvon/internal/invalid"
)

func TestTheDialplanHasTheContextsOfTheSources(t *testing.T) {
	text, err := freepbx.Dialplan{
		AGI: "agi://192.0.2.1:4573", DIDs: []string{"4951112233"}, Queue: "2000", Ring: 20 * time.Second, Window: "30d", Policy: "first",
		NoticeCode: "*61", NoticeAllow: []string{"_1XX", "_2[0-4]X"}, MarkPrompt: "custom/mark",
	}.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n[detect]\nexten => 4951112233,1,Gosub(app-get-manager-and-type,s,1)\n same => n,Goto(from-trunk,${EXTEN},1)\nexten => _[+0-9]!,1,Goto(from-trunk,${EXTEN},1)\n",
		"\n[app-get-manager-and-type]\n", "AGI(agi://192.0.2.1:4573/responsible?policy=first&window=30d)\n",
		"\n[detect-number]\nexten => start,1,", "(anonym),Goto(ext-queues,2000,1)\n",
		"\n[personal-manager]\nexten => start,1,", "Dial(Local/${MANAGER}@from-internal/n,20)\n same => n(skip),Goto(ext-queues,2000,1)\n",
		"\n[operators-alert]\nexten => s,1,", "${CONNECTEDLINE(num,i)}", "AGI(agi://192.0.2.1:4573/notice,${operator})",
		"\n[from-internal-custom]\nexten => *61,1,", "\nexten => _1XX,1,Answer()", "\nexten => _2[0-4]X,1,Answer()",
		"Read(mark,custom/mark,1,,1,10)", "\n[operator_rec]\n", "Set(DB(op_alert/${operator})=true)", "Set(DB(op_alert/${operator})=false)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	for _, never := range []string{"System(", "Macro(", "SHELL("} {
		if strings.Contains(text, never) {
			t.Errorf("has %s", never)
		}
	}
	context, _, _ := strings.Cut(freepbx.NoAnswerDestination, ",")
	if !strings.Contains(text, "["+context+"]") {
		t.Errorf("no %s", freepbx.NoAnswerDestination)
	}
}

func TestNothingGivenBecomesDialplanOfItsOwn(t *testing.T) {
	for field, d := range map[string]freepbx.Dialplan{
		"agi":             {AGI: "agi://h)\nexten => s,1,System(reboot"},
		"dids[0]":         {AGI: "agi://h", DIDs: []string{"1,1,System(x)"}},
		"queue":           {AGI: "agi://h", Queue: "1,1)\n"},
		"ring":            {AGI: "agi://h", Ring: time.Hour},
		"window":          {AGI: "agi://h", Window: "soon"},
		"policy":          {AGI: "agi://h", Policy: "best"},
		"notice_code":     {AGI: "agi://h", NoticeCode: "600,1"},
		"mark_prompt":     {AGI: "agi://h", MarkPrompt: "a,1)"},
		"notice_allow[0]": {AGI: "agi://h", NoticeAllow: []string{"_1X${X}"}},
	} {
		_, err := d.Text()
		var bad invalid.Error
		if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Path != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
