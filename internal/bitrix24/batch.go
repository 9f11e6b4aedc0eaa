package bitrix24

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

const methodBatch = "batch"

// batch are requests that the portal carries out one after the other as one:
// up to the first that fails (halt=1).
type batch []command

// command is one request of a batch, and what came of it. Of what was not
// carried out, because one before it has failed, there is neither.
type command struct {
	name   string // letters; unique in the batch
	method string
	params map[string]any // strings, numbers, and maps of them
	result json.RawMessage
	failed *Error
}

// resultOf is a parameter that is a field of what an earlier command of the batch
// has given.
type resultOf struct{ name, field string }

// ask sends the batch. The error is that of the batch as a whole, as of
// portal.call: then it is not known which of its commands were carried out.
func (b batch) ask(ctx context.Context, p *portal) error {
	var a struct {
		Result phpMap[json.RawMessage] `json:"result"`
		Errors phpMap[struct {
			Code        text   `json:"error"`
			Description string `json:"error_description"`
		}] `json:"result_error"`
		Time phpMap[struct {
			Operating float64 `json:"operating"`
			ResetAt   float64 `json:"operating_reset_at"`
		}] `json:"result_time"`
	}
	if err := p.call(ctx, methodBatch, map[string]any{"halt": 1, "cmd": b}, &a); err != nil {
		return err
	}
	for i := range b {
		c := &b[i]
		c.result = a.Result[c.name]
		if t, ok := a.Time[c.name]; ok {
			p.limits.operating(c.method, t.Operating, t.ResetAt)
		}
		if e, ok := a.Errors[c.name]; ok {
			c.failed = &Error{Method: c.method, Code: clean(string(e.Code)), Description: clean(e.Description)}
		}
	}
	return nil
}

// refusedFor tells that the command was refused with that code.
func (c command) refusedFor(code string) bool { return c.failed != nil && c.failed.Code == code }

// into reads the result of a command that was carried out; false: it was not.
func (c command) into(result any) bool {
	return c.result != nil && c.failed == nil && json.Unmarshal(c.result, result) == nil
}

// MarshalJSON gives the commands by name, in their order: it is that in which
// they are carried out.
func (b batch) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	for i, c := range b {
		line, err := json.Marshal(c.method + "?" + strings.Join(query("", c.params), "&"))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "%c%q:%s", "{,"[min(i, 1)], c.name, line)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// query are the parameters as PHP reads them from a query: of a map name[key].
func query(prefix string, params map[string]any) (list []string) {
	for _, key := range slices.Sorted(maps.Keys(params)) {
		name := url.QueryEscape(key)
		if prefix != "" {
			name = prefix + "[" + name + "]"
		}
		switch v := params[key].(type) {
		case map[string]any:
			list = append(list, query(name, v)...)
		case resultOf:
			list = append(list, name+"=$result["+v.name+"]["+v.field+"]")
		default:
			list = append(list, name+"="+url.QueryEscape(fmt.Sprint(v)))
		}
	}
	return list
}

// phpMap is an array of PHP with names for keys: without any it is sent as an
// empty list.
type phpMap[V any] map[string]V

// UnmarshalJSON implements json.Unmarshaler.
func (m *phpMap[V]) UnmarshalJSON(b []byte) error {
	if string(b) == "[]" || string(b) == "null" {
		return nil
	}
	return json.Unmarshal(b, (*map[string]V)(m))
}

// unbatched tells that the portal takes no batch, but maybe the same requests
// one by one.
func unbatched(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Method == methodBatch && e.fate() == fateRefused
}
