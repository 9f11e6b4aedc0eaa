// Package notice keeps operators' notices: what a caller hears who does not
// reach an operator (specification 4-operator-notices). A notice is a row in
// the database and, unless it is a text, a file in a folder of its own.
//
// Files have names that are made here, never from what anybody sent. A file is
// whole and on the disk before its row names it, and is removed when no row
// does any more; what a crash leaves between the two is nobody's, and is swept.
package notice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store"
)

// MaxLength is the longest notice that may be uploaded.
const MaxLength = 5 * time.Minute

// keyPrefix begins the keys of notices' clips; the file's name follows.
const keyPrefix = "notice:"

const (
	sweepEvery = time.Hour
	// fresh is how long a file may be without a row: longer than it takes to
	// store one.
	fresh = 10 * time.Minute
)

// Speech tells whether a text could be spoken: speech.Library.
type Speech interface {
	Check(ctx context.Context, v speech.Voice, text string) error
}

// Shelf is where notices are kept. Its methods may be called from any
// goroutine.
type Shelf struct {
	store  *store.Store
	speech Speech
	folder *os.Root
	log    *slog.Logger
}

// Open makes the folder dir, if it is not there, and opens the shelf. Close it.
func Open(dir string, s *store.Store, spoken Speech, log *slog.Logger) (*Shelf, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("notices: %w", err)
	}
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("notices: %w", err)
	}
	return &Shelf{store: s, speech: spoken, folder: folder, log: log}, nil
}

// Close gives the folder back.
func (s *Shelf) Close() error { return s.folder.Close() }

// All are the account's notices by extension.
func (s *Shelf) All(ctx context.Context, account string) ([]directory.Notice, error) {
	return s.store.Notices(ctx, account)
}

// Get is the notice of an operator, or store.ErrNotFound.
func (s *Shelf) Get(ctx context.Context, account, extension string) (directory.Notice, error) {
	return s.store.Notice(ctx, account, extension)
}

// Find is Get for who takes it for granted that there may be none.
func (s *Shelf) Find(ctx context.Context, account, extension string) (n directory.Notice, found bool, err error) {
	n, err = s.store.Notice(ctx, account, extension)
	if errors.Is(err, store.ErrNotFound) {
		return n, false, nil
	}
	return n, err == nil, err
}

// Record keeps what an operator dictated, without the silence around it and the
// tone of the key that ended it, and lets it be heard. false: nothing was said,
// and the notice before stays.
func (s *Shelf) Record(ctx context.Context, account, extension string, said *audio.Clip) (n directory.Notice, kept bool, err error) {
	clip := trimmed(withoutKey(said))
	if len(clip.Samples) == 0 {
		return n, false, nil
	}
	n, err = s.keep(ctx, account, directory.Notice{Extension: extension, Enabled: true, Source: directory.NoticeRecorded}, clip)
	return n, err == nil, err
}

// Upload keeps a sound file; kind is its media type, audio/wav or audio/mpeg.
// The error is an *UnsupportedError, an invalid.Error of the field "audio",
// store.ErrNotFound (no such operator), or a failure.
func (s *Shelf) Upload(ctx context.Context, account, extension, kind string, content []byte, enabled bool) (directory.Notice, error) {
	clip, err := decode(ctx, kind, content)
	if err != nil {
		return directory.Notice{}, err
	}
	if clip = trimmed(clip); len(clip.Samples) == 0 {
		return directory.Notice{}, invalid.Error{{Path: "audio", Message: "there is nothing to hear in it"}}
	}
	return s.keep(ctx, account, directory.Notice{Extension: extension, Enabled: enabled, Source: directory.NoticeUploaded}, clip)
}

// Speak keeps a text that is spoken when it is needed. The error is an
// invalid.Error of the field "text", store.ErrNotFound, or a failure.
func (s *Shelf) Speak(ctx context.Context, account, extension, text string, enabled bool) (directory.Notice, error) {
	if err := s.CheckText(ctx, text); err != nil {
		return directory.Notice{}, err
	}
	n := directory.Notice{Extension: extension, Enabled: enabled, Source: directory.NoticeText, Text: text, UpdatedAt: now()}
	return n, s.put(ctx, account, n)
}

// CheckText is nil if the text can be spoken here, else an invalid.Error.
func (s *Shelf) CheckText(ctx context.Context, text string) error {
	if strings.TrimSpace(text) == "" {
		return invalid.Error{{Path: "text", Message: "want a text"}}
	}
	err := s.speech.Check(ctx, speech.Voice{}, text)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return invalid.Error{{Path: "text", Message: err.Error()}}
	}
	return nil
}

// Enable lets a notice be heard, or not; it stays either way. store.ErrNotFound:
// there is none.
func (s *Shelf) Enable(ctx context.Context, account, extension string, enabled bool) (directory.Notice, error) {
	if err := s.store.EnableNotice(ctx, account, extension, enabled); err != nil {
		return directory.Notice{}, err
	}
	return s.store.Notice(ctx, account, extension)
}

// Delete removes a notice, and its sound from the disk. false: there was none.
func (s *Shelf) Delete(ctx context.Context, account, extension string) (deleted bool, err error) {
	file, err := s.store.DeleteNotice(ctx, account, extension)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.discard(ctx, file)
	return true, nil
}

// Sound is what the notice sounds like; it must not be a text. Its key is for
// Clip.
func (s *Shelf) Sound(_ context.Context, n directory.Notice) (*audio.Clip, error) {
	return s.load(n.File)
}

// File opens the sound of a notice that is not a text: a WAV file.
func (s *Shelf) File(n directory.Notice) (*os.File, error) { return s.folder.Open(n.File) }

// Clip is the sound with a key, for who reads in a recording what was played,
// as long as the notice is there. false: it is no notice's key.
func (s *Shelf) Clip(_ context.Context, key string) (clip *audio.Clip, ours bool, err error) {
	file, ours := strings.CutPrefix(key, keyPrefix)
	if !ours {
		return nil, false, nil
	}
	clip, err = s.load(file)
	return clip, true, err
}

func (s *Shelf) load(file string) (*audio.Clip, error) {
	f, err := s.folder.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	clip, err := wav.Read(f)
	if err != nil {
		return nil, fmt.Errorf("notice %s: %w", file, err)
	}
	clip.Key = keyPrefix + file
	return clip, nil
}

// keep stores a sound, then what refers to it, then gives up what was there
// before.
func (s *Shelf) keep(ctx context.Context, account string, n directory.Notice, clip *audio.Clip) (directory.Notice, error) {
	n.File, n.Length, n.UpdatedAt = call.NewID()+".wav", clip.Duration().Truncate(time.Millisecond), now()
	if err := s.write(n.File, clip); err != nil {
		return directory.Notice{}, fmt.Errorf("the sound is not stored: %w", err)
	}
	if err := s.put(ctx, account, n); err != nil {
		s.discard(ctx, n.File)
		return directory.Notice{}, err
	}
	return n, nil
}

func (s *Shelf) put(ctx context.Context, account string, n directory.Notice) error {
	replaced, err := s.store.PutNotice(ctx, account, n)
	if err != nil {
		return err
	}
	s.discard(ctx, replaced)
	return nil
}

// write makes a file that is there whole or not at all, also after a crash.
func (s *Shelf) write(name string, clip *audio.Clip) (err error) {
	part := name + ".part"
	f, err := s.folder.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.folder.Remove(part))
		}
	}()
	if err := errors.Join(wav.WriteALaw(f, clip), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := s.folder.Rename(part, name); err != nil {
		return err
	}
	folder, err := s.folder.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close()) // the name, too, outlives a power cut
}

// discard removes a file that nobody refers to; the sweep takes what it cannot.
func (s *Shelf) discard(ctx context.Context, file string) {
	if file == "" {
		return
	}
	if err := s.folder.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.WarnContext(ctx, "the sound of a notice that is gone is still there", "file", file, "err", err)
	}
}

// Watch sweeps now and then until ctx ends.
func (s *Shelf) Watch(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "notices are not swept", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep removes files that belong to no notice: of processes that died, and of
// operators who are gone.
func (s *Shelf) sweep(ctx context.Context) error {
	folder, err := s.folder.Open(".")
	if err != nil {
		return err
	}
	defer folder.Close()
	there, err := folder.ReadDir(-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	// Asked after the look: a file that has got its row in the meantime stays.
	wanted, err := s.store.NoticeFiles(ctx)
	if err != nil {
		return err
	}
	for _, entry := range there {
		info, err := entry.Info()
		if err != nil || wanted[entry.Name()] || !info.Mode().IsRegular() || time.Since(info.ModTime()) < fresh {
			continue
		}
		s.discard(ctx, entry.Name())
	}
	return nil
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
