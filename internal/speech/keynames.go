package speech

import (
	"maps"
	"slices"
	"strings"
	"unicode"
)

// keyNames are the keys of a phone as people call them, by language. Digits
// that a recogniser writes as such are understood in any.
var keyNames = map[string]map[string]byte{
	"ru": {
		"ноль": '0', "нуль": '0', "один": '1', "два": '2', "три": '3', "четыре": '4', "пять": '5', "шесть": '6', "семь": '7', "восемь": '8', "девять": '9',
		"звездочка": '*', "звездочку": '*', "звезда": '*', "звезду": '*', "решетка": '#', "решетку": '#',
	},
	"en": {
		"zero": '0', "one": '1', "two": '2', "three": '3', "four": '4', "five": '5', "six": '6', "seven": '7', "eight": '8', "nine": '9',
		"star": '*', "asterisk": '*', "hash": '#', "pound": '#',
	},
}

// alone are names that are keys only when nothing else is said.
var alone = map[string]map[string]byte{"en": {"oh": '0', "o": '0'}}

// maxPhrase is how many words a phrase has in which a key is meant: «нажимаю на
// цифру пять». In more, the word is part of a talk.
const maxPhrase = 4

// SpokenKey is the key that somebody means who says text: a text of at most
// four words with the name of exactly one key.
func SpokenKey(language, text string) (key byte, ok bool) {
	primary := (Voice{Language: language}).defaults().primary()
	names := keyNames[primary]
	if names == nil {
		return 0, false
	}
	words := strings.FieldsFunc(strings.ReplaceAll(strings.ToLower(text), "ё", "е"), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '*' && r != '#'
	})
	if len(words) == 1 {
		if k, known := alone[primary][words[0]]; known {
			return k, true
		}
	}
	if len(words) > maxPhrase {
		return 0, false
	}
	for _, w := range words {
		k, known := names[w]
		if len(w) == 1 && strings.Contains("0123456789*#", w) {
			k, known = w[0], true
		}
		if known {
			if ok {
				return 0, false
			}
			key, ok = k, true
		}
	}
	return key, ok
}

// keyPhrases are all names of a language, for recognisers that like to know.
func keyPhrases(language string) []string {
	primary := (Voice{Language: language}).defaults().primary()
	return slices.Sorted(maps.Keys(keyNames[primary]))
}
