package numbering

import "strings"

// keyDigits is how many of a number's last digits tell a client.
const keyDigits = 10

// Key is what a client is recognised by, however a carrier writes his number
// (8916…, 7916…, +7916…): its last ten digits. e164 is the whole number where
// it is written with its country code, behind a +; two numbers that both have
// one are the same only if all of it is. The spellings of Normalize are
// understood. Both are empty for what has fewer than ten digits, for words
// ("anonymous") and for nothing at all.
func Key(text string) (key, e164 string) {
	number, err := clean(text)
	if err != nil {
		return "", ""
	}
	digits, international := strings.CutPrefix(number, "+")
	if len(digits) < keyDigits {
		return "", ""
	}
	if international && isE164Digits(digits) {
		e164 = number
	}
	return digits[len(digits)-keyDigits:], e164
}
