package store

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/invalid"
)

// pageOf is one page of a list that runs from the newest to the oldest by
// column and id, and the cursor of the next, "" after the last. key is the
// place of an item in that order.
func pageOf[T any](w where, p Page, column string,
	query func(condition string, args ...any) ([]T, error), key func(T) (time.Time, string),
) (list []T, next string, err error) {
	if p.Cursor != "" {
		at, id, err := readCursor(p.Cursor)
		if err != nil {
			return nil, "", err
		}
		w.and("("+column+", id) < (?, ?)", at, id)
	}
	w.args = append(w.args, p.Limit+1) // one more tells whether there is a next page
	list, err = query(fmt.Sprintf(`WHERE %s ORDER BY %s DESC, id DESC LIMIT $%d`, w.text(), column, len(w.args)), w.args...)
	if err != nil {
		return nil, "", err
	}
	if len(list) > p.Limit {
		list = list[:p.Limit]
		at, id := key(list[p.Limit-1])
		next = writeCursor(at.UnixMilli(), id)
	}
	return list, next, nil
}

// A cursor is the sort key of the last item of a page, opaque to clients.

func writeCursor(ms int64, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(ms, 36) + " " + id))
}

func readCursor(cursor string) (ms int64, id string, err error) {
	bad := invalid.Error{{Path: "cursor", Message: "not a cursor of this server; take next_cursor as it was given"}}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return 0, "", bad
	}
	at, id, ok := strings.Cut(string(b), " ")
	if ms, err = strconv.ParseInt(at, 36, 64); err != nil || !ok {
		return 0, "", bad
	}
	return ms, text(id), nil
}
