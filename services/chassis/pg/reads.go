package pg

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/consistency"
)

// Querier is what reads are made of: a connection or a pool.
type Querier interface {
	Beginner
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

// Reads are for questions whose answers may be a little old for everybody but who wrote
// what is asked for: the database's replica answers them, or the primary where the replica
// may lack what the request has to see (package consistency), is too old, or is away. What a
// decision about orders, stock or money depends on is not asked here.
//
// The loss of the replica is no error: what it does not answer the primary does. A request
// without a consistency.Session, such as a background job's, asks the primary, and so do all
// methods but those of Reads itself.
type Reads struct {
	DB      // the primary
	replica *Replica
}

// NewReads returns reads of a replica, which may be nil, and of the primary in its place.
func NewReads(primary *pgxpool.Pool, replica *Replica) Reads { return Reads{DB{primary}, replica} }

// Replica is the one that is asked; nil without one.
func (r Reads) Replica() *Replica { return r.replica }

// Current has the request's token cover what the primary has now, as if it had written: for
// an answer of the primary that the caller's later reads must not fall behind.
func (r Reads) Current(ctx context.Context) {
	if r.replica != nil {
		consistency.FromContext(ctx).Write(r.replica.database)
	}
}

// Do runs fn, which only reads: again, on the primary, if the replica fails in it.
func (r Reads) Do(ctx context.Context, fn func(context.Context, Querier) error) error {
	if r.replica != nil {
		if answered, err := r.replica.ask(ctx, fn); answered {
			return err
		}
		consistency.FromContext(ctx).SawPrimary(r.replica.database)
	}
	return fn(ctx, r.DB)
}

// QueryRow runs a query; an error is that of Scan.
func (r Reads) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return row{func(dest []any) error {
		return r.Do(ctx, func(ctx context.Context, q Querier) error { return q.QueryRow(ctx, sql, args...).Scan(dest...) })
	}}
}

// Query runs a query. A replica's rows are in memory when it returns, so that what a replica
// does not finish the primary does from the start: ask for pages.
func (r Reads) Query(ctx context.Context, sql string, args ...any) (found pgx.Rows, err error) {
	err = r.Do(ctx, func(ctx context.Context, q Querier) error {
		rows, err := q.Query(ctx, sql, args...)
		if _, primary := q.(DB); err != nil || primary {
			found = rows
			return err
		}
		found, err = keep(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// InTx runs fn, which only reads, in a transaction: see the function InTx.
func (r Reads) InTx(ctx context.Context, opts pgx.TxOptions, fn TxFunc) error {
	opts.AccessMode = pgx.ReadOnly
	return r.Do(ctx, func(ctx context.Context, q Querier) error { return InTx(ctx, q, opts, fn) })
}

// kept are rows that were read whole.
type kept struct {
	fields []pgconn.FieldDescription
	values [][][]byte
	next   int
	tag    pgconn.CommandTag
	types  *pgtype.Map
	err    error
}

// typeMaps are for values of rows that have left their connections: a map is not for
// concurrent use.
var typeMaps = sync.Pool{New: func() any { return pgtype.NewMap() }}

// keep reads all rows.
func keep(rows pgx.Rows) (*kept, error) {
	defer rows.Close()
	k := &kept{}
	for rows.Next() {
		raw := rows.RawValues()
		values := make([][]byte, len(raw))
		for i, v := range raw {
			values[i] = bytes.Clone(v) // it is nil for NULL
		}
		k.values = append(k.values, values)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	k.fields, k.tag = slices.Clone(rows.FieldDescriptions()), rows.CommandTag()
	k.types = typeMaps.Get().(*pgtype.Map)
	return k, nil
}

func (k *kept) Close() {
	if k.types != nil {
		typeMaps.Put(k.types)
		k.types = nil
	}
	k.values, k.next = nil, 0
}

func (k *kept) Err() error                                   { return k.err }
func (k *kept) CommandTag() pgconn.CommandTag                { return k.tag }
func (k *kept) FieldDescriptions() []pgconn.FieldDescription { return k.fields }
func (k *kept) Conn() *pgx.Conn                              { return nil }
func (k *kept) TypeMap() *pgtype.Map                         { return k.types }

func (k *kept) Next() bool {
	if k.next >= len(k.values) || k.err != nil {
		k.Close()
		return false
	}
	k.next++
	return true
}

func (k *kept) RawValues() [][]byte { return k.values[k.next-1] }

func (k *kept) Scan(dest ...any) error {
	if len(dest) == 1 {
		if scanner, ok := dest[0].(pgx.RowScanner); ok {
			return k.failed(scanner.ScanRow(k))
		}
	}
	return k.failed(pgx.ScanRow(k.types, k.fields, k.RawValues(), dest...))
}

// failed ends the rows with an error, as pgx's own do.
func (k *kept) failed(err error) error {
	if err != nil {
		k.err = err
	}
	return err
}

func (k *kept) Values() ([]any, error) {
	values := make([]any, len(k.fields))
	for i, raw := range k.RawValues() {
		field := k.fields[i]
		t, known := k.types.TypeForOID(field.DataTypeOID)
		var err error
		switch {
		case raw == nil:
		case known:
			values[i], err = t.Codec.DecodeValue(k.types, field.DataTypeOID, field.Format, raw)
		default:
			values[i] = string(raw)
		}
		if err != nil {
			return nil, k.failed(err)
		}
	}
	return values, nil
}
