package storetest

import (
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
)

func exerciseNotices(t *testing.T, s *store.Store) {
	ctx := t.Context()
	at := time.UnixMilli(1_800_000_000_123).UTC()
	recorded := directory.Notice{Extension: "101", Enabled: true, Source: directory.NoticeRecorded, File: "a.wav", Length: 1234 * time.Millisecond, UpdatedAt: at}
	_, err := s.PutNotice(ctx, Mine, recorded)
	fails(t, err, store.ErrNotFound) // no such operator

	putOperators(t, s, "101", "102")
	_, err = s.PutOperator(ctx, Theirs, directory.Operator{Extension: "101"})
	fails(t, err, nil)
	put := func(account string, n directory.Notice, wantReplaced string) {
		t.Helper()
		replaced, err := s.PutNotice(ctx, account, n)
		same(t, wantReplaced, replaced, err)
	}
	put(Mine, recorded, "")
	put(Theirs, directory.Notice{Extension: "101", Source: directory.NoticeUploaded, File: "theirs.wav", UpdatedAt: at}, "")
	got, err := s.Notice(ctx, Mine, "101")
	same(t, recorded, got, err)
	spoken := directory.Notice{Extension: "102", Enabled: true, Source: directory.NoticeText, Text: `Я в "отпуске"; DROP TABLE`, UpdatedAt: at}
	put(Mine, spoken, "")
	list, err := s.Notices(ctx, Mine)
	same(t, []directory.Notice{recorded, spoken}, list, err)
	files, err := s.NoticeFiles(ctx)
	same(t, map[string]bool{"a.wav": true, "theirs.wav": true}, files, err)

	fails(t, s.EnableNotice(ctx, Mine, "101", false), nil)
	got, err = s.Notice(ctx, Mine, "101")
	same(t, false, got.Enabled, err)
	fails(t, s.EnableNotice(ctx, Mine, "103", true), store.ErrNotFound)
	recorded.File = "b.wav"
	put(Mine, recorded, "a.wav")

	for _, hostile := range []string{"../101", "1'1", "", "101\x00", "１０１"} {
		_, err := s.Notice(ctx, Mine, hostile)
		fails(t, err, store.ErrNotFound)
		_, err = s.DeleteNotice(ctx, Mine, hostile)
		fails(t, err, store.ErrNotFound)
		_, err = s.PutNotice(ctx, Mine, directory.Notice{Extension: hostile, Source: directory.NoticeText, Text: "a"})
		fails(t, err, store.ErrNotFound)
	}

	file, err := s.DeleteNotice(ctx, Mine, "101")
	same(t, "b.wav", file, err)
	_, err = s.DeleteNotice(ctx, Mine, "101")
	fails(t, err, store.ErrNotFound)
	_, err = s.Notice(ctx, Theirs, "101")
	fails(t, err, nil)

	// The next operator of the extension does not inherit it.
	fails(t, s.DeleteOperator(ctx, Mine, "102"), nil)
	putOperators(t, s, "102")
	_, err = s.Notice(ctx, Mine, "102")
	fails(t, err, store.ErrNotFound)
}
