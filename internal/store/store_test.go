package store_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Exercise(t, func(t *testing.T) *store.Store { return storetest.Open(t) })
}

func TestADataFolderIsUsedByOneProcess(t *testing.T) {
	dir := t.TempDir()
	first, err := store.Open(t.Context(), store.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), store.Options{DataDir: dir})
	var inUse *store.InUseError
	if !errors.As(err, &inUse) || inUse.PID != strconv.Itoa(os.Getpid()) || !strings.Contains(err.Error(), dir) {
		t.Errorf("the second got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := store.Open(t.Context(), store.Options{DataDir: dir})
	if err != nil {
		t.Fatal("after the first has closed:", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
