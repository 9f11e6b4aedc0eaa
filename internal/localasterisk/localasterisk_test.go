package localasterisk

import (
	"errors"
	"strings"
	"testing"
)

func TestWhereThereIsNoneTheErrorTellsHowToGetOne(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := Start(t.Context(), Options{})
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "make asterisk") {
		t.Errorf("error %v, want one that names `make asterisk`", err)
	}
}
