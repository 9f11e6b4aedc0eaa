package directory

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/perezvon/perezvon/internal/invalid"
)

// readObject fills the struct that to points to from a JSON object, key by key
// and by the letter. What does not fit is an invalid.Error that names each
// field by its path within the object, however deep: what is written here
// nests, and a schema that takes several forms cannot say which was meant.
// Fields that are not in the object, or null there, stay as they are.
func readObject(b []byte, to any) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return invalid.Error{{Message: "want an object"}}
	}
	v := reflect.ValueOf(to).Elem()
	fields := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		fields[name] = v.Field(i).Addr().Interface()
	}
	var bad invalid.Error
	for _, key := range slices.Sorted(maps.Keys(object)) {
		field, known := fields[key]
		if !known {
			bad.Add(key, "unexpected property")
			continue
		}
		within(&bad, key, json.Unmarshal(object[key], field), field)
	}
	return bad.Err()
}

// within adds what was wrong with the part of a value that is found under path.
func within(bad *invalid.Error, path string, err error, part any) {
	var fields invalid.Error
	switch {
	case err == nil:
	case errors.As(err, &fields):
		for _, f := range fields {
			bad.Add(join(path, f.Path), f.Message)
		}
	default:
		bad.Add(path, wanted(part))
	}
}

// join is the path of a field within a part: "steps" and "[0].queue" make
// "steps[0].queue", "match" and "called" make "match.called".
func join(path, rest string) string {
	if path == "" || rest == "" || rest[0] == '[' {
		return path + rest
	}
	return path + "." + rest
}

// wanted says what can be read into a field.
func wanted(field any) string {
	switch reflect.TypeOf(field).Elem().Kind() {
	case reflect.String:
		return "want a text"
	case reflect.Int:
		return "want a whole number"
	case reflect.Bool:
		return "want true or false"
	case reflect.Slice:
		return "want a list of texts"
	default:
		return "want an object"
	}
}
