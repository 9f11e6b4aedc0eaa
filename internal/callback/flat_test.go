package callback

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/invalid"
)

// "POST /api/v11/callback (form or JSON, everything flat strings)".
func TestEveryFieldCanBeAFlatString(t *testing.T) {
	got, err := ParseFlat(map[string]string{
		"widget": "site-1", "managers": "8 (495) 123-45-67^101_102", "client": " 8 916 123-45-67^12 ", "dial_mode": "parallel",
		"greeting": "Здравствуйте", "connecting_text": "Звоним", "ivr_text": "Клиент ждёт", "ivr_repeats_before_connect": "",
		"ivr_repeats_before_hangup": "24", "extra_info": "Иван, «Лада»", "language": "en", "voice": "Tatyana", "voice_control": "1", "transcribe": "ON",
		"extension_delay_ms": "0", "client_delay_ms": "0", "manager_timeout_s": "5", "client_timeout_s": "120", "after_call_s": "0",
		"dtmf_connect": "5", "dtmf_extra_info": "#", "dtmf_cancel": "*", "dtmf_cancel_recalls": "9", "dtmf_reschedule": "0", "dtmf_to_manager": "1,,2",
		"client_caller_id": "+74950000001", "default_caller_id_manager": "84950000002", "default_caller_id_client": "office",
		"substitute_for_manager": "0", "substitute_for_client": "False",
		"trunk": "main", "trunks_manager": "a,b", "trunks_client": "b, a", "failover_on": "any", "client_ip": "203.0.113.7", "attempt": "2", "start_within_s": "60",
		"log_url": "https://example.com/log?x=1", "status_url": "http://93.184.215.14:8080/s", "events_url": "https://[2606:2800:21f::1]/e",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := full()
	want.Managers = Managers{{Number: "8 (495) 123-45-67", Extension: "101"}, {Number: "102"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(FlatFields()) != reflect.TypeFor[Packet]().NumField() {
		t.Error("fields are missing:", FlatFields())
	}
}

func TestAFlatStringThatCannotBeReadIsNamed(t *testing.T) {
	for name, text := range map[string]string{
		"attempt": "first", "client_delay_ms": "3.5", "voice_control": "maybe", "clientt": "1", "Client": "+79161234567", "managers[1]": "",
	} {
		fields := map[string]string{name: text}
		if name == "managers[1]" {
			fields = map[string]string{"managers": "101__102"}
		}
		_, err := ParseFlat(fields)
		var bad invalid.Error
		if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Path != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := ParseFlat(nil); err != nil || cmp.Diff(Packet{}, p) != "" {
		t.Error(p, err)
	}
}

func FuzzParseFlat(f *testing.F) {
	f.Add(`{"client":"+79161234567","managers":"101_^","attempt":"999999999999999999999"}`)
	f.Fuzz(func(t *testing.T, body string) {
		var fields map[string]string
		if json.Unmarshal([]byte(body), &fields) != nil {
			return
		}
		p, err := ParseFlat(fields)
		if err != nil {
			return
		}
		if _, err := p.Normalize("RU"); err == nil && strings.TrimSpace(fields["client"]) == "" {
			t.Errorf("%s has a client", body)
		}
	})
}
