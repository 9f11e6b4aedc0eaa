package numbering

import (
	"strconv"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// Country is the country of an E.164 number, ISO 3166-1 alpha-2; empty if it
// has none (satellites, international freephone) or is no such number. Where
// countries share a calling code, a number that none of them knows is taken
// for the main one's.
//
// It is asked for both ends of every call: the plans are looked into only where
// countries share a calling code.
func Country(e164 string) string {
	digits, ok := strings.CutPrefix(e164, "+")
	if !ok || !isE164Digits(digits) {
		return ""
	}
	code, countries := callingCode(digits)
	switch {
	case len(countries) == 0 || countries[0] == nowhere:
		return ""
	case len(countries) == 1:
		return countries[0]
	case code == "7":
		// The zones of the two are fixed (ITU-T E.164 annex): 6 and 7 are
		// Kazakhstan's.
		if len(digits) > 1 && (digits[1] == '6' || digits[1] == '7') {
			return "KZ"
		}
		return "RU"
	}
	n, err := phonenumbers.Parse(e164, "ZZ")
	if err == nil {
		if country := phonenumbers.GetRegionCodeForNumber(n); country != "" {
			return country
		}
	}
	return countries[0]
}

// nowhere is libphonenumber's region of codes that belong to no country.
const nowhere = "001"

// maxCallingCode is the length of the longest country code.
const maxCallingCode = 3

// callingCode is the country code that the digits begin with, and whose it is,
// the main country first. No code is the beginning of another.
func callingCode(digits string) (code string, countries []string) {
	codes := callingCodes()
	for n := 1; n <= min(maxCallingCode, len(digits)); n++ {
		if countries := codes[digits[:n]]; countries != nil {
			return digits[:n], countries
		}
	}
	return "", nil
}

var callingCodes = sync.OnceValue(func() map[string][]string {
	codes := map[string][]string{}
	for code := range 1000 {
		if countries := phonenumbers.GetRegionCodesForCountryCode(code); len(countries) > 0 {
			codes[strconv.Itoa(code)] = countries
		}
	}
	return codes
})
