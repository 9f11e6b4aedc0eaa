package fastagi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is read: Asterisk's own lines have 4 KB at most (a variable's
// value), and a request some thirty lines.
const (
	maxLine  = 8 << 10
	maxLines = 200
	maxBytes = 64 << 10
	// maxCommand is what Asterisk reads of a line (AGI_BUF_LEN), less what it
	// needs itself.
	maxCommand = 2000
)

// ErrHangup says that the caller is gone.
var ErrHangup = errors.New("the caller has hung up")

// Session is the talk with Asterisk about one call. Its methods wait for
// Asterisk's answer; they return ErrHangup when the caller is gone and another
// error when the connection is.
type Session struct {
	// Script is the path of the address, without the slash: "responsible".
	Script string
	// Query are the words behind it: agi://host/responsible?window=24h.
	Query url.Values
	// Args are the arguments of AGI() after the address.
	Args []string

	conn     net.Conn
	in       *bufio.Reader
	request  map[string]string
	hungUp   bool
	deadline time.Duration
}

// Channel is Asterisk's name of the caller's channel.
func (s *Session) Channel() string { return s.request["agi_channel"] }

// CallerID is the caller's number as Asterisk shows it, empty if it has none.
func (s *Session) CallerID() string {
	if number := s.request["agi_callerid"]; number != "unknown" {
		return number
	}
	return ""
}

// Arg is the n-th of Args, from 0 on, or empty.
func (s *Session) Arg(n int) string {
	if n >= len(s.Args) {
		return ""
	}
	return s.Args[n]
}

// open reads the request: lines "agi_name: value" up to an empty one.
func open(conn net.Conn) (*Session, error) {
	s := &Session{conn: conn, in: bufio.NewReaderSize(conn, maxLine), request: make(map[string]string), deadline: command}
	if err := conn.SetDeadline(time.Now().Add(greeting)); err != nil {
		return nil, err
	}
	size := 0
	for range maxLines {
		line, err := s.line()
		if err != nil {
			return nil, err
		}
		if line == "" {
			return s, s.address()
		}
		if size += len(line); size > maxBytes {
			return nil, errors.New("the request is too long")
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !strings.HasPrefix(name, "agi_") {
			return nil, fmt.Errorf("%.40q is no line of a request", line)
		}
		value = strings.TrimPrefix(value, " ")
		if strings.HasPrefix(name, "agi_arg_") {
			s.Args = append(s.Args, value)
			continue
		}
		s.request[name] = value
	}
	return nil, errors.New("the request has too many lines")
}

// address finds the script in what AGI() was given.
func (s *Session) address() error {
	path := s.request["agi_network_script"]
	if path == "" { // AGI(agi://host)
		return errors.New("the address names no script")
	}
	path, query, _ := strings.Cut(path, "?")
	s.Script = strings.Trim(path, "/")
	var err error
	s.Query, err = url.ParseQuery(query)
	return err
}

// line is the next line, without its end.
func (s *Session) line() (string, error) {
	b, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errors.New("a line is too long")
	}
	if err != nil {
		return "", err
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}

// answer is a "200 result=…" of Asterisk's.
type answer struct {
	result int
	value  string // between the parentheses
}

// do sends a command and reads its answer. The arguments are quoted.
func (s *Session) do(name string, args ...string) (answer, error) {
	if s.hungUp {
		return answer{}, ErrHangup
	}
	var b strings.Builder
	b.WriteString(name)
	for _, arg := range args {
		b.WriteByte(' ')
		b.WriteString(quote(arg))
	}
	b.WriteByte('\n')
	if b.Len() > maxCommand {
		return answer{}, fmt.Errorf("%s: the command is too long for Asterisk", name)
	}
	if err := s.conn.SetDeadline(time.Now().Add(s.deadline)); err != nil {
		return answer{}, err
	}
	if _, err := s.conn.Write([]byte(b.String())); err != nil {
		return answer{}, err
	}
	a, err := s.reply()
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", name, err)
	}
	return a, nil
}

func (s *Session) reply() (answer, error) {
	for range maxLines {
		line, err := s.line()
		switch {
		case err != nil:
			return answer{}, err
		case line == "HANGUP": // told in between, once
			s.hungUp = true
		case strings.HasPrefix(line, "511 "): // what takes no commands any more
			s.hungUp = true
			return answer{}, ErrHangup
		case strings.HasPrefix(line, "200 result="):
			return parse(strings.TrimPrefix(line, "200 result="))
		case len(line) > 3 && line[0] >= '1' && line[0] <= '9' && line[3] == ' ':
			return answer{}, fmt.Errorf("asterisk says %.200q", line)
		} // else how the command is used, in lines of any form, up to "520 End"
	}
	return answer{}, errors.New("no answer among too many lines")
}

func parse(text string) (a answer, err error) {
	number, rest, _ := strings.Cut(text, " ")
	if a.result, err = strconv.Atoi(number); err != nil {
		return a, fmt.Errorf("%.40q is no result", number)
	}
	if from, to := strings.IndexByte(rest, '('), strings.LastIndexByte(rest, ')'); from >= 0 && from < to {
		a.value = rest[from+1 : to]
	}
	return a, nil
}

// quote writes an argument as Asterisk reads it (parse_args of res_agi): in
// quotes, with a backslash before what would end them. It never holds the end
// of a line.
func quote(arg string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range arg {
		switch {
		case r < ' ' || r == 0x7f:
			b.WriteByte(' ')
			continue
		case r == '"' || r == '\\':
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

// Set sets a variable of the channel.
func (s *Session) Set(name, value string) error {
	_, err := s.do("SET VARIABLE", name, value)
	return err
}

// Eval is what an expression of the dialplan means on the channel,
// "${CALLERID(num)}"; empty where it means nothing, or Asterisk lacks the
// function. Never build one of what a caller has sent.
func (s *Session) Eval(expression string) (string, error) {
	a, err := s.do("GET FULL VARIABLE", expression)
	return a.value, err
}

// Verbose writes to Asterisk's console.
func (s *Session) Verbose(text string) error {
	_, err := s.do("VERBOSE", text, "3")
	return err
}

// Play answers the caller and plays a sound to the end, or until he hangs up
// (application Playback): a file of Asterisk's without its extension, or an
// HTTP address. played is false where Asterisk could not.
func (s *Session) Play(sound string, most time.Duration) (played bool, err error) {
	s.deadline = most + command
	defer func() { s.deadline = command }()
	if _, err := s.do("EXEC", "Playback", sound); err != nil {
		return false, err
	}
	if s.hungUp {
		return true, ErrHangup
	}
	status, err := s.Eval("${PLAYBACKSTATUS}")
	return status == "SUCCESS", err
}
