package consume

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg"
)

// Position is how far a consumer is with a subject.
type Position struct {
	// Consumer is Consumer.Name or Batch.Name.
	Consumer, Source, Subject string
	// Version is the newest that took effect or was passed over.
	Version int64
	// Skipped is how many versions were passed over and did not take effect since.
	Skipped int
}

// Positions calls each with how far the consumers of a database are with every subject that
// they met, until one call returns an error.
func Positions(ctx context.Context, db pg.DB, each func(Position) error) error {
	rows, err := db.Query(ctx, "SELECT consumer, source, subject, version, cardinality(skipped) FROM souk_consumed")
	if err == nil {
		var p Position
		_, err = pgx.ForEachRow(rows, []any{&p.Consumer, &p.Source, &p.Subject, &p.Version, &p.Skipped}, func() error { return each(p) })
	}
	if err != nil {
		return fmt.Errorf("read how far consumers are: %w", err)
	}
	return nil
}
