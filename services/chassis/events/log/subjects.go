package log

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Subject is what the log has of a subject: its versions from First to Newest.
type Subject struct {
	Subject       string
	First, Newest int64
}

// Subjects calls each with every subject, until one call returns an error. It reads the whole
// log.
func (l *Log) Subjects(ctx context.Context, each func(Subject) error) error {
	rows, err := l.db.Query(ctx, "SELECT subject, min(version), max(version) FROM souk_events GROUP BY subject")
	if err == nil {
		var s Subject
		_, err = pgx.ForEachRow(rows, []any{&s.Subject, &s.First, &s.Newest}, func() error { return each(s) })
	}
	if err != nil {
		return fmt.Errorf("read the subjects of the log of events: %w", err)
	}
	return nil
}

// Oldest returns when the first of some events became true; zero when the log has none of them.
func (l *Log) Oldest(ctx context.Context, subjects []string, versions []int64) (time.Time, error) {
	var at *time.Time
	err := l.db.QueryRow(ctx, `
		SELECT min(e.at) FROM unnest($1::text[], $2::bigint[]) AS k (subject, version)
		JOIN souk_events e ON e.subject = k.subject AND e.version = k.version`, subjects, versions).Scan(&at)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the time of events: %w", err)
	}
	if at == nil {
		return time.Time{}, nil
	}
	return *at, nil
}
