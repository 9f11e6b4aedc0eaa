package directory

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// Mask is a pattern of numbers as Asterisk's dialplan has them: after "_", X is
// any digit, Z is 1 to 9, N is 2 to 9, [1-57] is one of 1 to 5 and 7, "." is
// one or more characters of any kind, "!" is none or more; a digit, +, * and #
// stand for themselves, and "-" for nothing: it is there for the eye.
type Mask struct {
	text  string
	chars []charSet
	// tail is 0, '.' or '!'.
	tail byte
}

// charSet holds characters of maskChars, a bit each.
type charSet uint16

const maskChars = "0123456789+*#"

// maxMask bounds the length of a mask, in bytes.
const maxMask = 64

var (
	setX = span('0', '9')
	setZ = span('1', '9')
	setN = span('2', '9')
)

// What can be wrong with a mask.
var (
	errMaskBegin = errors.New("a mask begins with _")
	errMaskEmpty = errors.New("a mask has at least one character after _")
	errMaskLong  = fmt.Errorf("a mask has at most %d characters", maxMask)
	errMaskTail  = errors.New("nothing may follow . or ! in a mask")
	errMaskSet   = errors.New("a set in a mask is written [1-57], with at least one digit")
	errMaskChar  = errors.New("a mask is made of digits, X, Z, N, [1-5], + * #, and . or ! at its end")
)

// ParseMask reads a mask with its "_". The error says what is wrong, and may be
// shown as it is.
func ParseMask(s string) (Mask, error) {
	m := Mask{text: s}
	rest, ok := strings.CutPrefix(s, "_")
	switch {
	case !ok:
		return Mask{}, errMaskBegin
	case len(s) > maxMask:
		return Mask{}, errMaskLong
	}
	for rest != "" {
		if m.tail != 0 {
			return Mask{}, errMaskTail
		}
		c := rest[0]
		rest = rest[1:]
		switch c {
		case '-':
		case '.', '!':
			m.tail = c
		case 'X', 'x':
			m.chars = append(m.chars, setX)
		case 'Z', 'z':
			m.chars = append(m.chars, setZ)
		case 'N', 'n':
			m.chars = append(m.chars, setN)
		case '[':
			inside, after, closed := strings.Cut(rest, "]")
			set := setOf(inside)
			if !closed || set == 0 {
				return Mask{}, errMaskSet
			}
			m.chars, rest = append(m.chars, set), after
		default:
			one := bit(c)
			if one == 0 {
				return Mask{}, errMaskChar
			}
			m.chars = append(m.chars, one)
		}
	}
	if len(m.chars) == 0 && m.tail == 0 {
		return Mask{}, errMaskEmpty
	}
	return m, nil
}

// String is the mask as it was written.
func (m Mask) String() string { return m.text }

// Match tells that the number is one of the mask's.
func (m Mask) Match(number string) bool {
	if len(number) < len(m.chars) {
		return false
	}
	for i, set := range m.chars {
		if set&bit(number[i]) == 0 {
			return false
		}
	}
	left := len(number) - len(m.chars)
	switch m.tail {
	case '.':
		return left > 0
	case '!':
		return true
	}
	return left == 0
}

// Compare is negative if m comes before o, being more specific, as Asterisk
// orders the patterns of a context: at the first character in which they
// differ, the one that fewer characters fit comes first, then the one whose
// smallest character is less, "." after any character and "!" after ".". Of
// two of which one ends where the other goes on with "." or "!", the one that
// ends comes first. 0: they take the same numbers.
func (m Mask) Compare(o Mask) int {
	for i := range max(len(m.chars), len(o.chars)) + 1 {
		if c := cmp.Compare(m.place(i), o.place(i)); c != 0 {
			return c
		}
	}
	return 0
}

// place is the rank of what the mask has at position i.
func (m Mask) place(i int) int {
	const tails = 1 << 24
	switch {
	case i < len(m.chars):
		// How many fit, then which: of [12] and [13], [12] is first.
		set := uint16(m.chars[i])
		return bits.OnesCount16(set)<<16 | int(bits.Reverse16(set)^0xffff)
	case m.tail == '.':
		return tails + 1
	case m.tail == '!':
		return tails + 2
	}
	return tails
}

func bit(c byte) charSet {
	i := strings.IndexByte(maskChars, c)
	if i < 0 {
		return 0
	}
	return 1 << i
}

func span(from, to byte) (set charSet) {
	for c := from; c <= to; c++ {
		set |= bit(c)
	}
	return set
}

// setOf reads what is between brackets; 0: it is not right.
func setOf(inside string) (set charSet) {
	for i := 0; i < len(inside); i++ {
		c, to := inside[i], inside[i]
		if i+2 < len(inside) && inside[i+1] == '-' {
			to = inside[i+2]
			i += 2
		}
		if c < '0' || to > '9' || c > to {
			if c != to || bit(c) == 0 {
				return 0
			}
		}
		set |= span(c, to)
	}
	return set
}
