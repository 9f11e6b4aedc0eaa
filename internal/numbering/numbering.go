// Package numbering reads phone numbers as people and systems write them,
// writes them as trunks want them, and chooses by location which number either
// end of a call is shown. Pure functions over the numbering plans of
// the world (libphonenumber's data, compiled in).
//
// The first use of the plans parses that data, which takes about 0.1 s of CPU;
// a server calls Preload at its start so that no caller waits for it.
package numbering

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// What can be wrong with a number. Normalize returns one of them, never
// wrapped around the number itself: the message may be shown as it is.
var (
	ErrEmpty      = errors.New("is empty")
	ErrCharacters = errors.New("has characters that a phone number cannot have (an extension is written after ^)")
	ErrTooShort   = errors.New("is too short for a phone number")
	ErrTooLong    = errors.New("is too long for a phone number")
	ErrNoCountry  = errors.New("does not tell its country: write it as +, country code, number")
	ErrUnassigned = errors.New("is not a number of any numbering plan")
	ErrRegion     = errors.New("is not a region: two letters of ISO 3166-1, such as RU")
)

// maxText bounds what is looked at: fifteen digits (E.164) with as many
// separators, a scheme and some air.
const maxText = 128

// Normalize reads a number in any usual spelling and returns it as E.164:
// "+", country code, number, digits only.
//
// A number without a country code belongs to region (ISO 3166-1 alpha-2, any
// case): with "RU", "8 (495) 123-45-67" and "495 123 45 67" are +74951234567.
// With an empty region such numbers are ErrNoCountry. "+7…", "007…" and the
// region's own way of dialling abroad (8-10…) are understood everywhere; so
// are eleven or more bare digits that begin with a country code, unless they
// begin like a national call of the region (8… in Russia), where a mistyped
// digit would otherwise reach another country.
//
// Digits of any script, spaces, dashes, dots, slashes, parentheses, invisible
// formatting characters and a "tel:" scheme (RFC 3966) are accepted. The
// errors are the Err… variables above.
func Normalize(text, region string) (string, error) {
	number, err := clean(text)
	if err != nil {
		return "", err
	}
	region = strings.ToUpper(region)
	if region != "" && !regions()[region] {
		return "", ErrRegion
	}
	e164, err := parse(number, region)
	if err == nil {
		return e164, nil
	}
	if abroad, ok := withCountryCode(number, region); ok {
		if e164, abroadErr := parse(abroad, ""); abroadErr == nil {
			return e164, nil
		}
	}
	return "", err
}

// Preload parses the numbering plans now rather than at the first number.
func Preload() {
	// The number only has to reach the plans of a country.
	_, _ = Normalize("+74951234567", "RU")
}

var regions = sync.OnceValue(phonenumbers.GetSupportedRegions)

// clean keeps a leading plus and the digits, and refuses what is no number.
func clean(text string) (string, error) {
	if len(text) > maxText {
		return "", ErrTooLong
	}
	text = strings.TrimSpace(text)
	if len(text) >= 4 && strings.EqualFold(text[:4], "tel:") {
		// The parameters of a tel URI (RFC 3966 §3) are not part of the
		// number, but one without its extension would reach somebody else.
		uri, params, _ := strings.Cut(text[4:], ";")
		if strings.Contains(";"+strings.ToLower(params), ";ext=") {
			return "", ErrCharacters
		}
		text = uri
	}
	var b strings.Builder
	digits := 0
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Nd, r):
			b.WriteByte('0' + digitValue(r))
			digits++
		case r == '+' || r == '＋':
			if b.Len() > 0 {
				return "", ErrCharacters
			}
			b.WriteByte('+')
		case strings.ContainsRune("()./", r), unicode.Is(unicode.Pd, r), r == '−', // the minus sign is no dash to Unicode
			unicode.IsSpace(r), unicode.Is(unicode.Cf, r):
		default:
			return "", ErrCharacters
		}
	}
	if digits == 0 {
		if strings.TrimSpace(text) == "" {
			return "", ErrEmpty
		}
		return "", ErrTooShort
	}
	return b.String(), nil
}

// digitValue is the value of a decimal digit of any script: Unicode keeps the
// ten digits of a script together and in order, so every range of Nd begins
// with a zero and has a multiple of ten members.
func digitValue(r rune) byte {
	for _, g := range unicode.Nd.R16 {
		if rune(g.Lo) <= r && r <= rune(g.Hi) {
			return byte((r - rune(g.Lo)) % 10)
		}
	}
	for _, g := range unicode.Nd.R32 {
		if rune(g.Lo) <= r && r <= rune(g.Hi) {
			return byte((r - rune(g.Lo)) % 10)
		}
	}
	return 0
}

// minInternational is the shortest run of bare digits taken for a number with
// its country code: shorter ones are more often a national number with a digit
// missing.
const minInternational = 11

// withCountryCode is the second reading of a number that is none of region.
func withCountryCode(number, region string) (string, bool) {
	if strings.HasPrefix(number, "+") {
		return "", false
	}
	if abroad, ok := strings.CutPrefix(number, "00"); ok { // ITU-T E.123's usual prefix
		return "+" + abroad, true
	}
	if len(number) < minInternational {
		return "", false
	}
	if region != "" {
		trunkPrefix := phonenumbers.GetNddPrefixForRegion(region, true)
		if trunkPrefix != "" && strings.HasPrefix(number, trunkPrefix) {
			return "", false
		}
	}
	return "+" + number, true
}

func parse(number, region string) (string, error) {
	if region == "" {
		region = "ZZ" // libphonenumber's "none"
	}
	n, err := phonenumbers.Parse(number, region)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		if strings.HasPrefix(number, "+") {
			return "", ErrUnassigned
		}
		return "", ErrNoCountry
	case errors.Is(err, phonenumbers.ErrNumTooLong):
		return "", ErrTooLong
	case err != nil: // too short in one of several ways, or not a number
		return "", ErrTooShort
	}
	switch phonenumbers.IsPossibleNumberWithReason(n) {
	case phonenumbers.TOO_SHORT, phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return "", ErrTooShort
	case phonenumbers.TOO_LONG:
		return "", ErrTooLong
	}
	if !phonenumbers.IsValidNumber(n) {
		return "", ErrUnassigned
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// The ways a trunk wants numbers written (directory.Trunk.NumberFormat).
// Anything else is a template around {digits}.
const (
	FormatE164   = "e164"   // +74951234567; also the empty format
	FormatDigits = "digits" // 74951234567
	FormatRU8    = "ru8"    // 84951234567; abroad 810 and the digits
)

const placeholder = "{digits}"

// Format writes an E.164 number ("+74951234567") as a trunk wants it. It fails
// when ValidFormat refuses the format or when e164 is not E.164.
func Format(e164, format string) (string, error) {
	if err := ValidFormat(format); err != nil {
		return "", err
	}
	digits, ok := strings.CutPrefix(e164, "+")
	if !ok || !isE164Digits(digits) {
		return "", fmt.Errorf("%q is not an E.164 number", e164)
	}
	switch format {
	case "", FormatE164:
		return e164, nil
	case FormatDigits:
		return digits, nil
	case FormatRU8:
		if national, ok := strings.CutPrefix(digits, "7"); ok && len(national) == 10 {
			return "8" + national, nil
		}
		return "810" + digits, nil
	}
	return strings.Replace(format, placeholder, digits, 1), nil
}

// ValidFormat tells what is wrong with a format: it must be empty, one of the
// Format… constants, or a template of at most 64 characters with {digits}
// once, and beside it only what the user part of a SIP address takes as it is:
// letters, digits, + * # - _ . (RFC 3261 §25.1; # is understood everywhere
// though the grammar wants it escaped).
func ValidFormat(format string) error {
	switch format {
	case "", FormatE164, FormatDigits, FormatRU8:
		return nil
	}
	if strings.Count(format, placeholder) != 1 {
		return errors.New("must be e164, digits, ru8, or a template with {digits} once")
	}
	if len(format) > 64 {
		return errors.New("must have at most 64 characters")
	}
	for _, r := range strings.Replace(format, placeholder, "", 1) {
		letterOrDigit := '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letterOrDigit && !strings.ContainsRune("+*#-_.", r) {
			return fmt.Errorf("must not contain %q", r)
		}
	}
	return nil
}

func isE164Digits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 15 && s[0] != '0'
}
