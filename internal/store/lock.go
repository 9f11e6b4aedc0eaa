package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockFile in the data folder is held while a process uses the folder. The
// kernel lets go of it however the process dies, so it is never left behind.
const lockFile = "perezvon.lock"

// InUseError says that another process holds the data folder.
type InUseError struct {
	Dir string
	PID string // of the holder, as far as it is known
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("data folder %s is in use by another perezvon (process %s); stop it or give this one its own --data", e.Dir, e.PID)
}

// lockFolder takes the data folder until the result is closed.
func lockFolder(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
		}
		pid, _ := io.ReadAll(io.LimitReader(f, 20))
		return nil, &InUseError{Dir: dir, PID: strings.TrimSpace(string(pid))}
	}
	// For the message above; that the lock is held does not depend on it.
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	return f, nil
}
