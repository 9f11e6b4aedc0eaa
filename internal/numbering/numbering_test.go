package numbering

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

func TestNormalizeReadsAnyUsualSpelling(t *testing.T) {
	tests := []struct{ text, region, want string }{
		{"+74951234567", "", "+74951234567"},
		{"8 (495) 123-45-67", "RU", "+74951234567"},
		{"8(495)1234567", "ru", "+74951234567"},
		{"(495) 123 45 67", "RU", "+74951234567"},
		{"495.123.45.67", "RU", "+74951234567"},
		{"74951234567", "RU", "+74951234567"},
		{"74951234567", "", "+74951234567"},
		{"74951234567", "DE", "+74951234567"},
		{"79161234567", "RU", "+79161234567"},
		{"9161234567", "RU", "+79161234567"},
		{"8 800 555 35 35", "RU", "+78005553535"},
		{"007 495 123 45 67", "RU", "+74951234567"},
		{"0074951234567", "", "+74951234567"},
		{"0049 30 901820", "RU", "+4930901820"},
		{"8-10-49-30-901820", "RU", "+4930901820"},
		{"77012345678", "RU", "+77012345678"},
		{"8 701 234 56 78", "KZ", "+77012345678"},
		{"380441234567", "RU", "+380441234567"},
		{"030 901820", "DE", "+4930901820"},
		{"+49 (0)30 901820", "RU", "+4930901820"},
		{"(415) 555-2671", "US", "+14155552671"},
		{"tel:+7-495-123-45-67", "", "+74951234567"},
		{"TEL:84951234567;phone-context=+7", "RU", "+74951234567"},
		{"  +7 495 123‑45‑67\u00a0", "RU", "+74951234567"}, // no-break hyphens and space
		{"+7 495 123–45—67", "RU", "+74951234567"},
		{"+7 495 123−45−67", "RU", "+74951234567"},
		{"\u202a+7 495 123 45 67\u202c", "RU", "+74951234567"}, // as copied from a web page
		{"＋７４９５１２３４５６７", "RU", "+74951234567"},
		{"+٧٤٩٥١٢٣٤٥٦٧", "RU", "+74951234567"},
		{"\U0001d7df\U0001d7dc495\u200b1234567", "RU", ""}, // mathematical 7 and 4: a digit too many
	}
	for _, tt := range tests {
		got, err := Normalize(tt.text, tt.region)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("Normalize(%q, %q) = %q, %v; want %q", tt.text, tt.region, got, err, tt.want)
		}
	}
}

func TestNormalizeRefusesWhatIsNoNumber(t *testing.T) {
	tests := []struct {
		text, region string
		want         error
	}{
		{"", "RU", ErrEmpty},
		{"  \u200b ", "RU", ErrTooShort},
		{"   ", "RU", ErrEmpty},
		{"+", "RU", ErrTooShort},
		{"()-", "RU", ErrTooShort},
		{"1", "RU", ErrTooShort},
		{"112", "RU", ErrTooShort},
		{"123-45-67", "RU", ErrTooShort},
		{"+7112", "RU", ErrTooShort},
		{"849512345", "RU", ErrTooShort},
		{"8495123456", "RU", ErrUnassigned},
		{"+749512345678", "RU", ErrUnassigned},
		{"+74951234567890123", "RU", ErrTooLong},
		{strings.Repeat("1", 40), "RU", ErrTooLong},
		{strings.Repeat(" ", 1000) + "+74951234567", "RU", ErrTooLong},
		{"+70001234567", "RU", ErrUnassigned},
		{"+999123456789", "RU", ErrUnassigned},
		{"81234567890", "RU", ErrUnassigned}, // must not become a number in Japan
		{"4951234567", "", ErrNoCountry},
		{"4951234567", "XX", ErrRegion},
		{"+74951234567", "Russia", ErrRegion},
		{"1-800-FLOWERS", "US", ErrCharacters},
		{"+7 495 123 45 67 доб. 12", "RU", ErrCharacters},
		{"74951234567^101", "RU", ErrCharacters},
		{"tel:+74951234567;ext=101", "RU", ErrCharacters},
		{"tel:", "RU", ErrEmpty},
		{"sip:101@example.com", "RU", ErrCharacters},
		{"+7+4951234567", "RU", ErrCharacters},
		{"7495+1234567", "RU", ErrCharacters},
		{"+7495\x001234567", "RU", ErrCharacters},
		{"+7495\r\n1234567\xff", "RU", ErrCharacters},
		{"+7 495 123½45 67", "RU", ErrCharacters},
	}
	for _, tt := range tests {
		if got, err := Normalize(tt.text, tt.region); got != "" || !errors.Is(err, tt.want) {
			t.Errorf("Normalize(%q, %q) = %q, %v; want %v", tt.text, tt.region, got, err, tt.want)
		}
	}
}

func TestDigitRangesOfUnicodeBeginWithZeroAndHaveTens(t *testing.T) {
	for _, g := range unicode.Nd.R16 {
		if (g.Hi-g.Lo+1)%10 != 0 || g.Stride != 1 {
			t.Errorf("%U to %U", g.Lo, g.Hi)
		}
	}
	for _, g := range unicode.Nd.R32 {
		if (g.Hi-g.Lo+1)%10 != 0 || g.Stride != 1 {
			t.Errorf("%U to %U", g.Lo, g.Hi)
		}
	}
}

func TestFormatWritesNumbersAsTrunksWantThem(t *testing.T) {
	tests := []struct{ e164, format, want string }{
		{"+74951234567", "", "+74951234567"},
		{"+74951234567", "e164", "+74951234567"},
		{"+74951234567", "digits", "74951234567"},
		{"+74951234567", "ru8", "84951234567"},
		{"+77012345678", "ru8", "87012345678"},
		{"+4930901820", "ru8", "8104930901820"},
		{"+74951234567", "00{digits}", "0074951234567"},
		{"+74951234567", "abc-#{digits}*", "abc-#74951234567*"},
		{"74951234567", "e164", ""},
		{"+7495123456a", "digits", ""},
		{"+", "digits", ""},
		{"101", "digits", ""},
		{"+1234567890123456", "digits", ""},
		{"+74951234567", "E164", ""},
	}
	for _, tt := range tests {
		got, err := Format(tt.e164, tt.format)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("Format(%q, %q) = %q, %v; want %q", tt.e164, tt.format, got, err, tt.want)
		}
	}
}

func TestValidFormatRefusesWhatWouldBreakAnAddress(t *testing.T) {
	for _, format := range []string{
		"E164", "ru", "{digit}", "{digits}{digits}", "{digits}@evil", "{digits};user=phone", "<{digits}", "{digits}\r\nVia:",
		"{digits} ", "8й{digits}", strings.Repeat("0", 60) + "{digits}",
	} {
		if ValidFormat(format) == nil {
			t.Errorf("ValidFormat(%q) takes it", format)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"+74951234567", "8 (495) 123-45-67", "tel:+1;ext=3", "00", "810", "+٧٤", "１２３", "\xff"} {
		f.Add(s, "RU")
	}
	f.Add("030 901820", "de")
	f.Fuzz(func(t *testing.T, text, region string) {
		got, err := Normalize(text, region)
		if err != nil {
			if got != "" {
				t.Fatalf("a number %q beside the error %v", got, err)
			}
			return
		}
		if !strings.HasPrefix(got, "+") || !isE164Digits(got[1:]) {
			t.Fatalf("Normalize(%q, %q) = %q is not E.164", text, region, got)
		}
		if again, err := Normalize(got, ""); again != got {
			t.Fatalf("Normalize(%q) = %q, %v: not the same again", got, again, err)
		}
	})
}

func BenchmarkNormalize(b *testing.B) {
	Preload()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Normalize("8 (495) 123-45-67", "RU"); err != nil {
			b.Fatal(err)
		}
	}
}
