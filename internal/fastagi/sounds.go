package fastagi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/resample"
	"github.com/perezvon/perezvon/internal/media/wav"
)

// SoundsPath is where sounds for Asterisk are served.
const SoundsPath = "/sounds/"

// telephoneRate is the only rate that every Asterisk plays from a .wav.
const telephoneRate = 8000

// Shelf holds notices and what those sound like that are no texts:
// notice.Shelf.
type Shelf interface {
	Notices
	Sound(ctx context.Context, n directory.Notice) (*audio.Clip, error)
}

// Sealer proves that a name was made here: access.Signer.
type Sealer interface {
	Seal(name string) string
	CheckSeal(name, seal string) bool
}

// Sounds serves operators' notices to Asterisk, which plays what it fetches
// over HTTP. An address holds a proof, so that nobody can guess one, and
// changes with the notice, so that Asterisk may keep what it has fetched.
type Sounds struct {
	Shelf   Shelf
	Account string
	// Say speaks a text.
	Say func(ctx context.Context, text string) (*audio.Clip, error)
	// TemplateText is spoken for operators without a notice.
	TemplateText string
	// Base is this server's address as Asterisk reaches it, without a slash at
	// its end.
	Base   string
	Seal   Sealer
	Logger *slog.Logger
}

// template takes the place of an extension in names.
const template = "template"

// Notice is the address of a notice's sound.
func (s *Sounds) Notice(n directory.Notice) string { return s.address(n.Extension, version(n)) }

// Template is the address of what is said for operators without a notice.
func (s *Sounds) Template() string { return s.address(template, digest(s.TemplateText)) }

func (s *Sounds) address(whose, version string) string {
	name := whose + "-" + version
	return s.Base + SoundsPath + name + "/" + s.Seal.Seal(name) + ".wav"
}

// version differs from one content of a notice to the next.
func version(n directory.Notice) string {
	return strconv.FormatInt(n.UpdatedAt.UnixMilli(), 36)
}

func digest(text string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails
	return strconv.FormatUint(h.Sum64(), 36)
}

var errNoSound = errors.New("there is no such sound")

// ServeHTTP implements http.Handler for what is under SoundsPath.
func (s *Sounds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	clip, err := s.find(r.Context(), strings.TrimPrefix(r.URL.Path, SoundsPath))
	if err != nil {
		if !errors.Is(err, errNoSound) {
			s.Logger.ErrorContext(r.Context(), "a sound for Asterisk cannot be had", "path", r.URL.Path, "err", err)
		}
		http.NotFound(w, r)
		return
	}
	var b bytes.Buffer
	if err := wav.Write(&b, &audio.Clip{Rate: telephoneRate, Samples: resample.Convert(clip.Samples, clip.Rate, telephoneRate)}); err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "audio/wav")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b.Bytes()))
}

func (s *Sounds) find(ctx context.Context, path string) (*audio.Clip, error) {
	name, seal, ok := strings.Cut(path, "/")
	if !ok || !s.Seal.CheckSeal(name, strings.TrimSuffix(seal, ".wav")) {
		return nil, errNoSound
	}
	whose, of, _ := strings.Cut(name, "-")
	if whose == template {
		if of != digest(s.TemplateText) {
			return nil, errNoSound
		}
		return s.Say(ctx, s.TemplateText)
	}
	n, found, err := s.Shelf.Find(ctx, s.Account, whose)
	switch {
	case err != nil:
		return nil, err
	case !found || of != version(n):
		return nil, errNoSound
	case n.Source == directory.NoticeText:
		return s.Say(ctx, n.Text)
	}
	clip, err := s.Shelf.Sound(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("notice of %s: %w", whose, err)
	}
	return clip, nil
}
