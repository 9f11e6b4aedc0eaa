package store

import "context"

// OpenForSQL finds the open callback of a client on a widget: account, widget,
// client.
const OpenForSQL = openForSQL

// Explain is how the database would carry out a query with those arguments,
// once it knows its tables.
func (s *Store) Explain(ctx context.Context, query string, args ...any) (plan []string, err error) {
	if _, err := s.writer.ExecContext(ctx, "ANALYZE"); err != nil {
		return nil, err
	}
	explain := "EXPLAIN "
	if s.dialect.name == sqlite.name {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := s.reader.QueryContext(ctx, explain+query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row := make([]any, len(columns)) // the last column tells
		for i := range row {
			row[i] = new(any)
		}
		var detail string
		row[len(row)-1] = &detail
		if err := rows.Scan(row...); err != nil {
			return nil, err
		}
		plan = append(plan, detail)
	}
	return plan, rows.Err()
}
