package speech

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/wav"
)

// Espeak speaks through the program espeak-ng: any language, offline, a few
// milliseconds a second of speech, a robot's voice. It is a process of its
// own (its licence is GPLv3) that gets the text on its standard input, so no
// text can become an option, a command or a file.
type Espeak struct {
	slots chan struct{} // one for each process that may run

	mu        sync.Mutex
	path      string // empty until the program was found
	languages map[string]bool
	variants  map[string]string // lower case → as the program wants it
}

// NewEspeak makes the provider. The program is looked for when it is needed,
// so it may be installed while the server runs.
func NewEspeak() *Espeak {
	return &Espeak{slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

const (
	espeakProgram = "espeak-ng"
	// espeakHint is what a user without it reads.
	espeakHint = "install a speech provider on the server: apt install espeak-ng"
	// espeakSpeed is in words a minute; the program's own 175 is hurried on a
	// phone.
	espeakSpeed = "160"
	// espeakTime bounds one run; MaxText takes well under a second.
	espeakTime = 20 * time.Second
	// espeakBytes bounds what one run may write: six minutes.
	espeakBytes = 16 << 20
)

var errEspeakMissing = errors.New(espeakHint)

// Name is part of every key: "espeak-ng".
func (e *Espeak) Name() string { return espeakProgram }

// Check tells whether the program is installed and has the voice.
func (e *Espeak) Check(ctx context.Context, v Voice) error {
	_, _, err := e.find(ctx, v)
	return err
}

// Speak runs the program once.
func (e *Espeak) Speak(ctx context.Context, v Voice, text string) (*audio.Clip, error) {
	path, voice, err := e.find(ctx, v)
	if err != nil {
		return nil, err
	}
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	out, err := run(ctx, espeakScript(text), path, "-v", voice, "-s", espeakSpeed, "-b", "1", "-z", "--stdin", "--stdout")
	if err != nil {
		return nil, err
	}
	return wav.Read(bytes.NewReader(out))
}

// find looks the program and its name of the voice up.
func (e *Espeak) find(ctx context.Context, v Voice) (path, voice string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.path == "" {
		if err := e.load(ctx); err != nil {
			return "", "", err
		}
	}
	language := strings.ToLower(v.Language)
	switch {
	case language == "en":
		language = "en-us" // the program's "en" is British
	case !e.languages[language]:
		language = v.primary()
	}
	if !e.languages[language] {
		return "", "", fmt.Errorf("espeak-ng does not speak the language %q; configure another speech provider", v.Language)
	}
	switch v.Name {
	case Female:
		return e.path, language + "+f2", nil
	case Male:
		return e.path, language + "+m3", nil
	}
	variant, ok := e.variants[strings.ToLower(v.Name)]
	if !ok {
		return "", "", fmt.Errorf("there is no voice %q; use female, male or one that espeak-ng --voices=variant lists", v.Name)
	}
	return e.path, language + "+" + variant, nil
}

// load finds the program and asks it what it can speak.
func (e *Espeak) load(ctx context.Context) error {
	path, err := exec.LookPath(espeakProgram)
	if err != nil {
		return errEspeakMissing
	}
	languages, err := run(ctx, "", path, "--voices")
	if err != nil {
		return err
	}
	variants, err := run(ctx, "", path, "--voices=variant")
	if err != nil {
		return err
	}
	e.languages = make(map[string]bool)
	for _, row := range rows(languages) {
		e.languages[strings.ToLower(row[1])] = true
	}
	e.variants = make(map[string]string)
	for _, row := range rows(variants) {
		if file, ok := strings.CutPrefix(row[4], "!v/"); ok {
			e.variants[strings.ToLower(file)] = file
		}
	}
	e.path = path
	return nil
}

// rows are the lines of a list of voices without its heading: priority,
// language, gender, name, file.
func rows(list []byte) [][]string {
	var rows [][]string
	for _, line := range strings.Split(string(list), "\n") {
		if fields := strings.Fields(line); len(fields) >= 5 && fields[0] != "Pty" {
			rows = append(rows, fields)
		}
	}
	return rows
}

// run is one run of a program: no shell, nothing of our environment, an end.
func run(ctx context.Context, stdin, path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, espeakTime, fmt.Errorf("espeak-ng took longer than %v", espeakTime))
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(stdin)
	out, complaint := &bounded{max: espeakBytes}, &bounded{max: 512}
	cmd.Stdout, cmd.Stderr = out, complaint
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("espeak-ng: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.Bytes(), nil
}

// bounded keeps the first max bytes.
type bounded struct {
	bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.max-b.Len())])
	return len(p), nil
}

// longNumber is a run of digits that people say piece by piece.
var longNumber = regexp.MustCompile(`\d{10,15}`)

// espeakScript is a text as the program reads it well: [[…]] would be read as
// phonemes, and a phone number as billions.
func espeakScript(text string) string {
	text = strings.NewReplacer("[", " ", "]", " ").Replace(text)
	return longNumber.ReplaceAllStringFunc(text, func(n string) string {
		rest := n[:len(n)-10]
		n = n[len(n)-10:]
		return strings.Join([]string{rest, n[:3], n[3:6], n[6:8], n[8:]}, ", ")
	})
}
