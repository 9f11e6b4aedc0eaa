package numbering

import "testing"

func TestAClientIsRecognisedByTheLastTenDigits(t *testing.T) {
	for _, tt := range []struct{ text, key, e164 string }{
		{"+79161234567", "9161234567", "+79161234567"},
		{"79161234567", "9161234567", ""},
		{"8 (916) 123-45-67", "9161234567", ""},
		{"9161234567", "9161234567", ""},
		{"tel:+7-916-123-45-67", "9161234567", "+79161234567"},
		{"+372551234567", "2551234567", "+372551234567"},
		{"+12345678901234567890", "1234567890", ""}, // longer than E.164
		{"916123456", "", ""},                       // nine digits
		{"+3545812", "", ""},
		{"101", "", ""},
		{"", "", ""},
		{"anonymous", "", ""},
		{"Anonymous <9161234567>", "", ""},
		{"9161234567'; DROP TABLE contacts --", "", ""},
	} {
		if key, e164 := Key(tt.text); key != tt.key || e164 != tt.e164 {
			t.Errorf("%q: %q, %q; want %q, %q", tt.text, key, e164, tt.key, tt.e164)
		}
	}
}
