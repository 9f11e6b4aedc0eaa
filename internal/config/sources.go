package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Sources gives settings that the command line does not: from the environment,
// then from the file. It is a kong.Resolver:
//
//	kong.Parse(&cli, kong.Resolvers(&config.Sources{Getenv: os.LookupEnv}))
type Sources struct {
	// Getenv looks a variable up, usually os.LookupEnv.
	Getenv func(string) (string, bool)

	read bool
	file map[string]value
}

// value is one setting of the file and where it stands there.
type value struct {
	text  string
	where string // "perezvon.yaml:3"
}

// Default is every setting at its default.
func Default() Settings {
	var s Settings
	k, err := kong.New(&s)
	if err == nil {
		_, err = k.Parse(nil)
	}
	if err != nil {
		panic(err) // a broken struct tag: no user can cause it
	}
	return s
}

// Load decides all settings: args (flags only, without the command's name)
// before environment before file before default. They are valid: kong asks
// Settings.Validate.
func Load(args []string, getenv func(string) (string, bool)) (Settings, error) {
	var s Settings
	k, err := kong.New(&s, kong.Name("perezvon serve"), kong.Resolvers(&Sources{Getenv: getenv}))
	if err != nil {
		return Settings{}, err
	}
	if _, err := k.Parse(args); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// Variable is the name of a flag's environment variable: "rtp-ports" is
// PEREZVON_RTP_PORTS.
func Variable(flag string) string {
	return "PEREZVON_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Validate implements kong.Resolver. There is nothing to check before the
// command is known.
func (s *Sources) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver; kong asks it for every flag that the
// command line leaves open. This is the one place of the order of precedence:
// flag > environment > file > default.
func (s *Sources) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if flag.Tag.Get("yaml") == "" {
		return nil, nil // not a setting
	}
	if err := s.readFile(ctx, parent); err != nil {
		return nil, err
	}
	v, ok := s.file[flag.Tag.Get("yaml")]
	// An empty variable is one that is not set: compose files leave such.
	if text, _ := s.Getenv(Variable(flag.Name)); text != "" {
		v, ok = value{text, Variable(flag.Name)}, true
	}
	if !ok {
		return nil, nil
	}
	if err := check(flag, v.text); err != nil {
		return nil, fmt.Errorf("%s: %w", v.where, err)
	}
	return v.text, nil
}

// check parses the text on trial, so that the error can name its place.
func check(flag *kong.Flag, text string) error {
	if flag.Enum != "" && !flag.EnumMap()[text] {
		return fmt.Errorf("must be one of %s", flag.Enum)
	}
	scan := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: text})
	return flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, reflect.New(flag.Target.Type()).Elem())
}

// readFile reads the file once, at the first setting asked for.
func (s *Sources) readFile(ctx *kong.Context, parent *kong.Path) error {
	if s.read {
		return nil
	}
	s.read = true
	name := ""
	known := make(map[string]bool)
	for _, flag := range parent.Flags {
		if flag.Name == "config" {
			name, _ = ctx.FlagValue(flag).(string)
		}
		if key := flag.Tag.Get("yaml"); key != "" {
			known[key] = true
		}
	}
	if name == "" {
		name, _ = s.Getenv(Variable("config"))
	}
	if name == "" {
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	s.file, err = parse(name, text, known)
	return err
}

// parse reads a file of settings. All unknown, doubled and ill-shaped keys are
// told at once, each with its line.
func parse(name string, text []byte, known map[string]bool) (map[string]value, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	values := make(map[string]value)
	var problems []error
	for _, doc := range file.Docs {
		for _, pair := range pairs(doc.Body) {
			where := fmt.Sprintf("%s:%d", name, pair.Key.GetToken().Position.Line)
			key := strings.ReplaceAll(pair.Key.GetToken().Value, "-", "_")
			text, err := scalar(pair.Value)
			switch _, twice := values[key]; {
			case !known[key]:
				err = fmt.Errorf("unknown setting %q", pair.Key.GetToken().Value)
			case twice:
				err = fmt.Errorf("%q is set twice", key)
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", where, err))
				continue
			}
			if pair.Value.Type() != ast.NullType { // "key:" leaves the default
				values[key] = value{text, where}
			}
		}
		if doc.Body != nil && pairs(doc.Body) == nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentType {
			problems = append(problems, fmt.Errorf("%s:%d: settings are lines of the form key: value", name, doc.Body.GetToken().Position.Line))
		}
	}
	return values, errors.Join(problems...)
}

func pairs(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// scalar writes a value as it would stand on the command line: a list is
// joined by commas.
func scalar(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.SequenceNode:
		parts := make([]string, len(n.Values))
		for i, item := range n.Values {
			var err error
			if parts[i], err = scalar(item); err != nil {
				return "", err
			}
		}
		return strings.Join(parts, ","), nil
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	}
	return "", errors.New("a value is a text, a number, true, false, or a list of them")
}
