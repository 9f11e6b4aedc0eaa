package freepbx

import (
	"context"
	"database/sql"
)

// user is a row of asterisk.users: an extension.
type user struct {
	Extension, Name, OutboundCID, NoAnswer string
}

// users are all extensions, in their order.
func users(ctx context.Context, db *sql.DB) ([]user, error) {
	rows, err := db.QueryContext(ctx, `
		SELECT extension, COALESCE(name, ''), COALESCE(outboundcid, ''), COALESCE(noanswer_dest, '')
		FROM `+configDB+`.users ORDER BY LENGTH(extension), extension`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []user
	for rows.Next() {
		var u user
		if err := rows.Scan(&u.Extension, &u.Name, &u.OutboundCID, &u.NoAnswer); err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, rows.Err()
}

// devices are the users of devices that have another name than their user.
func devices(ctx context.Context, db *sql.DB) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT id, user FROM `+configDB+`.devices WHERE user <> '' AND user <> 'none' AND id <> user`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[string]string)
	for rows.Next() {
		var id, user string
		if err := rows.Scan(&id, &user); err != nil {
			return nil, err
		}
		all[id] = user
	}
	return all, rows.Err()
}
