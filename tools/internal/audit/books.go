package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/cell"
)

// books are the databases of one service: one, or one of each of its cells.
type books []*pgx.Conn

// connect opens the databases of a service, in the order of their names.
func (s Sources) connect(ctx context.Context, service string) (books, error) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(s.Databases)), func(name string) bool {
		return name != service && !strings.HasPrefix(name, service+"_")
	})
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no %s database", service)
	}
	var b books
	for _, name := range names {
		db, err := pgx.Connect(ctx, s.Databases[name])
		if err != nil {
			return b, fmt.Errorf("%s database: %w", name, err)
		}
		b = append(b, db)
	}
	return b, nil
}

func (b books) close(ctx context.Context) {
	for _, db := range b {
		_ = db.Close(context.WithoutCancel(ctx)) // it was only read
	}
}

// each calls fn for each row of each database.
func (b books) each(ctx context.Context, into []any, fn func(), sql string, args ...any) error {
	for _, db := range b {
		rows, err := db.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		if _, err := pgx.ForEachRow(rows, into, func() error { fn(); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// sum is the sum of a number of each database.
func (b books) sum(ctx context.Context, sql string) (sum int64, err error) {
	var n int64
	err = b.each(ctx, []any{&n}, func() { sum += n }, sql)
	return sum, err
}

// texts are the rows of all databases, of one text each.
func (b books) texts(ctx context.Context, sql string, args ...any) (map[string]bool, error) {
	out := map[string]bool{}
	var text string
	err := b.each(ctx, []any{&text}, func() { out[text] = true }, sql, args...)
	return out, err
}

// cells compares where orders and payments are with where their ids lead: an id is in its
// customer's bucket, and a bucket in one cell, the same of both services.
func (r *Report) cells(ctx context.Context, orders, payments books) error {
	if len(orders) == 1 {
		return nil
	}
	if len(payments) != len(orders) {
		return fmt.Errorf("there are %d order databases and %d payment databases", len(orders), len(payments))
	}
	in := map[cell.Bucket]int{} // the cell that has it
	check := func(at int, kind, id, customer string) error {
		b, err := cell.OfText(id)
		if err != nil {
			return err
		}
		if c, err := cell.OfText(customer); err != nil || c != b {
			r.differ(Misplaced, kind+" "+id, "is in bucket %d; its customer %s is in %d", b, customer, c)
		}
		if first, ok := in[b]; ok && first != at {
			r.differ(Misplaced, kind+" "+id, "of bucket %d is in cell %d; others of the bucket are in cell %d", b, at+1, first+1)
			return nil
		}
		in[b] = at
		return nil
	}
	for i := range orders {
		var id, customer string
		var failed error
		note := func(kind string) func() {
			return func() {
				if err := check(i, kind, id, customer); err != nil {
					failed = err
				}
			}
		}
		if err := orders[i:i+1].each(ctx, []any{&id, &customer}, note("order"), "SELECT id::text, customer_id::text FROM orders UNION ALL SELECT id::text, customer_id::text FROM archived_orders"); err != nil {
			return fmt.Errorf("orders of cell %d: %w", i+1, err)
		}
		if err := payments[i:i+1].each(ctx, []any{&id, &customer}, note("payment of order"), "SELECT order_id::text, order_id::text FROM attempts UNION ALL SELECT order_id::text, order_id::text FROM archived_payments"); err != nil {
			return fmt.Errorf("payments of cell %d: %w", i+1, err)
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}
