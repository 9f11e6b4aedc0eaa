package callback

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/perezvon/perezvon/internal/invalid"
)

// ParseFlat reads the packet as a v.11 client sends it: every field is a
// string, under the names of the JSON form (specification 1-callback §1).
// Managers are the v.11 string; lists of trunks are divided by commas; switches
// are 1, true, on, yes or 0, false, off, no, in any case. An empty string is a
// field that is left out. What cannot be read is an invalid.Error; the rest is
// judged by Normalize.
func ParseFlat(fields map[string]string) (Packet, error) {
	var (
		p      Packet
		bad    invalid.Error
		places = flatFields()
	)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text := strings.TrimSpace(fields[name])
		place, ok := places[name]
		switch {
		case !ok:
			bad.Add(name, "unexpected property")
		case text != "":
			if err := setFlat(reflect.ValueOf(&p).Elem().Field(place), text); err != nil {
				bad = append(bad, named(name, err)...)
			}
		}
	}
	return p, bad.Err()
}

// FlatFields are the names that ParseFlat knows, sorted.
func FlatFields() []string { return slices.Sorted(maps.Keys(flatFields())) }

func flatFields() map[string]int {
	t := reflect.TypeFor[Packet]()
	places := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		places[name] = i
	}
	return places
}

// flatError says what a string should have been.
type flatError string

func (e flatError) Error() string { return string(e) }

func named(name string, err error) invalid.Error {
	if fields, ok := err.(invalid.Error); ok { //nolint:errorlint // of ParseManagers, as it is
		return fields
	}
	return invalid.Error{{Path: name, Message: err.Error()}}
}

func setFlat(field reflect.Value, text string) (err error) {
	switch to := field.Addr().Interface().(type) {
	case *string:
		*to = text
	case *int:
		*to, err = flatNumber(text)
	case **int:
		var n int
		n, err = flatNumber(text)
		*to = &n
	case **bool:
		var on bool
		on, err = flatSwitch(text)
		*to = &on
	case *[]string:
		for name := range strings.SplitSeq(text, ",") {
			*to = append(*to, strings.TrimSpace(name))
		}
	case *Managers:
		*to, err = ParseManagers(text)
	}
	return err
}

func flatNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, flatError("want a whole number")
	}
	return n, nil
}

func flatSwitch(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "1", "true", "on", "yes":
		return true, nil
	case "0", "false", "off", "no":
		return false, nil
	}
	return false, flatError("want 1 or 0, true or false, on or off")
}
