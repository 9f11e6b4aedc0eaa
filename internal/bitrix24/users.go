package bitrix24

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
)

// How long it is believed whose extension it is, and that it is nobody's.
const (
	knownFor   = 10 * time.Minute
	unknownFor = time.Minute
)

// users remembers who has which extension. The zero value is ready.
type users struct {
	mu  sync.Mutex
	ids map[string]found // by extension
}

type found struct {
	id    int64 // 0: nobody
	until time.Time
}

func (u *users) get(extension string) (int64, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f, ok := u.ids[extension]
	return f.id, ok && time.Now().Before(f.until)
}

func (u *users) put(extension string, id int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil {
		u.ids = make(map[string]found)
	}
	keep := knownFor
	if id == 0 {
		keep = unknownFor
	}
	u.ids[extension] = found{id, time.Now().Add(keep)}
}

// user is the Bitrix24 user of who is named on a timeline: by extension, or by a
// number. What is set for the operator (bitrix_user_id) goes before the
// extension in the user's profile there. 0: nobody.
func (p *portal) user(ctx context.Context, who string) (int64, error) {
	if who == "" {
		return 0, nil
	}
	operators, err := p.service.config.Store.Operators(ctx, p.account)
	if err != nil {
		return 0, err
	}
	extension := who
	i := slices.IndexFunc(operators, func(o directory.Operator) bool { return o.Extension == who || slices.Contains(o.Phones, who) })
	if i >= 0 {
		if id, err := strconv.ParseInt(operators[i].BitrixUserID, 10, 64); err == nil && id > 0 {
			return id, nil
		}
		extension = operators[i].Extension
	}
	if strings.HasPrefix(extension, "+") { // a number outside is nobody's extension
		return 0, nil
	}
	if id, known := p.users.get(extension); known {
		return id, nil
	}
	var list []struct {
		ID number `json:"ID"`
	}
	p.limits.count()
	err = p.call(ctx, "user.get", map[string]any{
		"FILTER": map[string]any{"UF_PHONE_INNER": extension, "ACTIVE": true}, "select": []string{"ID", "UF_PHONE_INNER"},
	}, &list)
	if denied(err) {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	var id int64
	if len(list) == 1 { // an extension that several have is nobody's
		id = int64(list[0].ID)
	}
	p.users.put(extension, id)
	return id, nil
}

// ErrNobody says that no operator here is that user.
var ErrNobody = errors.New("no operator here is that user of Bitrix24: give the operator bitrix_user_id, or the user the operator's extension")

// operator is the extension of the operator who is that user.
func (p *portal) operator(ctx context.Context, user int64) (string, error) {
	operators, err := p.service.config.Store.Operators(ctx, p.account)
	if err != nil {
		return "", err
	}
	if extension := operatorWho(operators, user, ""); extension != "" {
		return extension, nil
	}
	var list []struct {
		Extension text `json:"UF_PHONE_INNER"`
	}
	p.limits.count()
	err = p.call(ctx, "user.get", map[string]any{"FILTER": map[string]any{"ID": user}, "select": []string{"ID", "UF_PHONE_INNER"}}, &list)
	if err != nil && !denied(err) {
		return "", err
	}
	for _, u := range list {
		if extension := operatorWho(operators, user, string(u.Extension)); extension != "" {
			return extension, nil
		}
	}
	return "", ErrNobody
}

// operatorWho is the extension of the operator who is the user with that
// extension in his profile: who has bitrix_user_id is nobody else. "": nobody is.
func operatorWho(operators []directory.Operator, user int64, extension string) string {
	id := strconv.FormatInt(user, 10)
	i := slices.IndexFunc(operators, func(o directory.Operator) bool { return o.BitrixUserID == id })
	if i < 0 {
		i = slices.IndexFunc(operators, func(o directory.Operator) bool { return o.Extension == extension && o.BitrixUserID == "" })
	}
	if i < 0 {
		return ""
	}
	return operators[i].Extension
}
