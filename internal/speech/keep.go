package speech

import (
	"container/list"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/wav"
)

// What is kept, in bytes of samples: the texts of a day in memory, those of
// months on disk. The clip used longest ago goes first.
const (
	memoryBytes = 64 << 20
	diskBytes   = 1 << 30
)

// memory keeps the clips used last. The zero value with max set is empty.
type memory struct {
	max   int
	bytes int
	order list.List // of *audio.Clip, the one used last in front
	byKey map[string]*list.Element
}

func (m *memory) get(key string) *audio.Clip {
	e := m.byKey[key]
	if e == nil {
		return nil
	}
	m.order.MoveToFront(e)
	return e.Value.(*audio.Clip)
}

func (m *memory) put(key string, clip *audio.Clip) {
	if m.byKey == nil {
		m.byKey = make(map[string]*list.Element)
	}
	m.byKey[key] = m.order.PushFront(clip)
	m.bytes += 2 * len(clip.Samples)
	for m.bytes > m.max && m.order.Len() > 1 {
		last := m.order.Remove(m.order.Back()).(*audio.Clip)
		delete(m.byKey, last.Key)
		m.bytes -= 2 * len(last.Samples)
	}
}

// disk keeps clips as WAV files named by their keys. With an empty dir it
// keeps nothing.
type disk struct {
	dir string
	max int64

	mu    sync.Mutex
	bytes int64 // in all files; counted at the first store
	known bool
}

var spokenKey = regexp.MustCompile(`^tts:[0-9a-f]{64}$`)

// path is where the clip with a key lies; empty if no such key can be kept.
func (d *disk) path(key string) string {
	if d.dir == "" || !spokenKey.MatchString(key) {
		return ""
	}
	sum := strings.TrimPrefix(key, keyPrefix)
	return filepath.Join(d.dir, sum[:2], sum[2:]+".wav")
}

func (d *disk) load(key string) (*audio.Clip, error) {
	path := d.path(key)
	if path == "" {
		return nil, errNotKept
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errNotKept
	}
	defer f.Close()
	clip, err := wav.Read(f)
	if err != nil || len(clip.Samples) == 0 {
		return nil, errNotKept // a damaged file is replaced by the next store
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // only the order of leaving depends on it
	return &audio.Clip{Key: key, Rate: clip.Rate, Samples: clip.Samples}, nil
}

// store writes a file that is there whole or not at all, also after a crash.
func (d *disk) store(key string, clip *audio.Clip) error {
	path := d.path(key)
	if path == "" {
		return nil
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing once it is renamed
	defer f.Close()
	if err := wav.Write(f, clip); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return d.bound(int64(2 * len(clip.Samples)))
}

// bound makes room after added more bytes were kept.
func (d *disk) bound(added int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes += added
	if d.known && d.bytes <= d.max {
		return nil
	}
	type file struct {
		path string
		size int64
		used time.Time
	}
	var files []file
	d.bytes, d.known = 0, true
	err := filepath.WalkDir(d.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil // it went meanwhile
		}
		files = append(files, file{path, info.Size(), info.ModTime()})
		d.bytes += info.Size()
		return nil
	})
	if err != nil {
		return err
	}
	if d.bytes <= d.max {
		return nil
	}
	slices.SortFunc(files, func(a, b file) int { return a.used.Compare(b.used) })
	for _, f := range files {
		// A tenth more room than needed, so that not every store walks here.
		if d.bytes <= d.max-d.max/10 {
			break
		}
		if os.Remove(f.path) == nil {
			d.bytes -= f.size
		}
	}
	return nil
}
