package directory_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
)

func TestATrunkThatBreaksARuleIsNamedByField(t *testing.T) {
	good := directory.Trunk{
		Name: "carrier-1_a", Host: "sip.example.com", Port: 5062, Transport: "tls", Username: "74951234567", Password: "пароль", Register: true,
		CallerIDHeader: "pai", NumberFormat: "00{digits}", CallerID: "+74951234567", MaxChannels: 30, Codecs: []string{"G722", "PCMA"}, OptionsS: 60,
	}
	for want, change := range map[string]func(*directory.Trunk){
		"":                 func(*directory.Trunk) {},
		"name":             func(t *directory.Trunk) { t.Name = "a b" },
		"host":             func(t *directory.Trunk) { t.Host = "sip.example.com:5060" },
		"port":             func(t *directory.Trunk) { t.Port = 65536 },
		"transport":        func(t *directory.Trunk) { t.Transport = "sctp" },
		"username":         func(t *directory.Trunk) { t.Username = "" },
		"password":         func(t *directory.Trunk) { t.Password = "a\r\nb" },
		"caller_id_header": func(t *directory.Trunk) { t.CallerIDHeader = "P-Asserted-Identity" },
		"number_format":    func(t *directory.Trunk) { t.NumberFormat = "{number}" },
		"caller_id":        func(t *directory.Trunk) { t.CallerID = "7495 123<sip:x>" },
		"max_channels":     func(t *directory.Trunk) { t.MaxChannels = -1 },
		"options_s":        func(t *directory.Trunk) { t.OptionsS = 3601 },
		"codecs[1]":        func(t *directory.Trunk) { t.Codecs = []string{"PCMA", "PCMA"} },
		"codecs[0]":        func(t *directory.Trunk) { t.Codecs = []string{"G729"} },
		"endpoint":         func(t *directory.Trunk) { t.Endpoint = strings.Repeat("x", 129) },
	} {
		trunk := good
		change(&trunk)
		names(t, trunk.Validate(), want)
	}
	for _, host := range []string{"192.0.2.1", "2001:db8::1", "[2001:db8::1]", "localhost", "a.b-c.example."} {
		trunk := directory.Trunk{Name: "t", Host: host}
		names(t, trunk.Validate(), "")
	}
	for _, host := range []string{"", "sip:example.com", "a b", "-a", "a..b", "a\r\nb", "user@host", "[::1", strings.Repeat("a.", 200) + "com"} {
		trunk := directory.Trunk{Name: "t", Host: host}
		names(t, trunk.Validate(), "host")
	}
	names(t, directory.Trunk{Name: "asterisk", Endpoint: "carrier"}.Validate(), "")
}

func TestAnOperatorWhoBreaksARuleIsNamedByField(t *testing.T) {
	good := directory.Operator{Extension: "101", Name: "Анна", Password: "secret", Phones: []string{"+74951234567"}, BitrixUserID: "7", CallerID: "+74951234567", Trunks: []string{"main", "spare"}, Outbound: "any"}
	for want, change := range map[string]func(*directory.Operator){
		"":               func(*directory.Operator) {},
		"extension":      func(o *directory.Operator) { o.Extension = "1" },
		"name":           func(o *directory.Operator) { o.Name = strings.Repeat("ж", 129) },
		"password":       func(o *directory.Operator) { o.Password = "\x00" },
		"phones[0]":      func(o *directory.Operator) { o.Phones = []string{"84951234567"} },
		"phones[1]":      func(o *directory.Operator) { o.Phones = []string{"+74951234567", "+74951234567"} },
		"phones":         func(o *directory.Operator) { o.Phones = manyPhones() },
		"caller_id":      func(o *directory.Operator) { o.CallerID = "a b" },
		"trunks[0]":      func(o *directory.Operator) { o.Trunks[0] = "a b" },
		"trunks[1]":      func(o *directory.Operator) { o.Trunks = []string{"main", "main"} },
		"outbound":       func(o *directory.Operator) { o.Outbound = "world" },
		"bitrix_user_id": func(o *directory.Operator) { o.BitrixUserID = "\xff" },
	} {
		o := good
		o.Trunks = slices.Clone(good.Trunks)
		change(&o)
		names(t, o.Validate(), want)
	}
	for _, extension := range []string{"", "10a", "12345678901", "１０１", "+101", "1 2"} {
		names(t, directory.Operator{Extension: extension}.Validate(), "extension")
	}
}

func manyPhones() []string {
	list := make([]string, 11)
	for i := range list {
		list[i] = "+749512345" + string(rune('0'+i/10)) + string(rune('0'+i%10))
	}
	return list
}

// names checks that the error is about that field alone; "" means no error.
func names(t *testing.T, err error, field string) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	var bad invalid.Error
	if !errors.As(err, &bad) || len(bad) != 1 || bad[0].Path != field {
		t.Errorf("%s: got %v", field, err)
	}
}
