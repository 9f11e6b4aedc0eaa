package bitrixtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// mostCommands is how many commands a batch may have.
const mostCommands = 50

// named is a command of a batch.
type named struct{ name, line string }

// batch carries out the commands one after the other; with halt=1 up to the
// first that fails. Of commands, only the first upto are; 0: all. Empty arrays
// are lists, as PHP sends them.
func (p *Portal) batch(body []byte, in params, app bool, upto int) any {
	results, failures, times := make(map[string]any), make(map[string]any), make(map[string]any)
	for i, c := range commands(body) {
		if upto > 0 && i == upto {
			break
		}
		method, query, _ := strings.Cut(c.line, "?")
		p.commands = append(p.commands, method)
		result, took, refused := p.command(i, method, parseQuery(query, results), app)
		if refused != nil {
			failures[c.name] = failure(refused.code, refused.description)
			if in.number("halt") == 1 || in["halt"] == true {
				break
			}
			continue
		}
		results[c.name], times[c.name] = result, took
	}
	return map[string]any{
		"result": php(results), "result_error": php(failures), "result_total": []any{}, "result_next": []any{}, "result_time": php(times),
	}
}

func (p *Portal) command(i int, method string, in params, app bool) (any, map[string]any, *refusal) {
	switch {
	case i >= mostCommands:
		return nil, nil, &refusal{400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded"}
	case method == "batch":
		return nil, nil, &refusal{400, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage"}
	case p.Refuses != nil:
		if t := p.Refuses(method); t != nil {
			return nil, nil, &refusal{t.Status, t.Code, t.Description}
		}
	}
	return p.one(method, in, app)
}

func php(m map[string]any) any {
	if len(m) == 0 {
		return []any{}
	}
	return m
}

// commands reads cmd in the order in which it came.
func commands(body []byte) (list []named) {
	var in struct {
		Commands json.RawMessage `json:"cmd"`
	}
	if json.Unmarshal(body, &in) != nil || len(in.Commands) == 0 {
		return nil
	}
	var lines []string
	if json.Unmarshal(in.Commands, &lines) == nil {
		for i, line := range lines {
			list = append(list, named{fmt.Sprint(i), line})
		}
		return list
	}
	d := json.NewDecoder(bytes.NewReader(in.Commands))
	_, _ = d.Token() // the brace
	for d.More() {
		name, _ := d.Token()
		line, _ := d.Token()
		list = append(list, named{fmt.Sprint(name), fmt.Sprint(line)})
	}
	return list
}

var reference = regexp.MustCompile(`^\$result\[([^\]]+)\]((?:\[[^\]]+\])*)$`)

// parseQuery reads parameters as PHP's parse_str does; values that refer to
// what earlier commands have given become that.
func parseQuery(query string, results map[string]any) params {
	in := make(params)
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || name == "" {
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil {
			continue
		}
		var given any = value
		if m := reference.FindStringSubmatch(value); m != nil {
			given = field(results[m[1]], m[2])
		}
		into(in, keys(name), given)
	}
	return in
}

// keys splits a[b][c].
func keys(name string) []string {
	first, rest, _ := strings.Cut(name, "[")
	list := []string{first}
	for rest != "" {
		var key string
		key, rest, _ = strings.Cut(rest, "]")
		list = append(list, key)
		rest = strings.TrimPrefix(rest, "[")
	}
	return list
}

func into(m map[string]any, keys []string, value any) {
	if len(keys) == 1 {
		m[keys[0]] = value
		return
	}
	inner, ok := m[keys[0]].(map[string]any)
	if !ok {
		inner = make(map[string]any)
		m[keys[0]] = inner
	}
	into(inner, keys[1:], value)
}

// field follows [a][b] into what a method has given; nil: there is none.
func field(value any, path string) any {
	for path != "" {
		var key string
		key, path, _ = strings.Cut(strings.TrimPrefix(path, "["), "]")
		fields, _ := value.(map[string]any)
		value = fields[key]
	}
	return value
}
