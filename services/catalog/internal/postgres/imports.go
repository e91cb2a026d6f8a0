package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// batchProducts and batchVariants bound a batch, and so how long other edits wait.
	batchProducts = 50
	batchVariants = 200
	// leftAfter is how long no batch of an import is written until another replica
	// takes the import for left by its caller.
	leftAfter = 10 * time.Second
	// keepImports is for how long a repeat of an import is recognized.
	keepImports = 7 * 24 * time.Hour
	// forgetBatch is how many imports are forgotten at once.
	forgetBatch = 100
)

// pendingError says that an import is going to write the products of an edit.
type pendingError struct{ batches []int64 }

func (e *pendingError) Error() string {
	return fmt.Sprintf("%d batches of imports come first", len(e.batches))
}

// An editFunc is the body of a transaction. It returns what it changed, for the audit log;
// nothing if it is a repeat, or if no operator acts.
type editFunc = func(context.Context, *db.Queries) (audit.Change, error)

// edit runs fn in a transaction that holds the lock of the catalog. What imports that
// were accepted before write of the codes and SKUs is written first, so that an edit
// is neither undone by an earlier import nor in its way.
func (s *Store) edit(ctx context.Context, names []string, fn editFunc) error {
	return s.afterImports(ctx, nil, func(ctx context.Context, q *db.Queries) (audit.Change, error) {
		if err := lockAfterImports(ctx, q, uuid.Nil.String(), names); err != nil {
			return audit.Change{}, err
		}
		return fn(ctx, q)
	})
}

// afterImports runs fn, which is one transaction, until no import is in its way. Each
// transaction has the turn at the stock of the SKUs. The batches of an import are written
// without it, because they may wait long for the lock of the catalog.
func (s *Store) afterImports(ctx context.Context, skus []string, fn editFunc) error {
	for {
		err := s.editOnce(ctx, skus, fn)
		pending, ok := errors.AsType[*pendingError](err)
		if !ok {
			return err
		}
		for _, batch := range pending.batches {
			if _, err := s.writeBatch(ctx, batch); err != nil {
				return err
			}
		}
	}
}

// editOnce runs fn in a transaction, in its turn at the stock of the SKUs.
func (s *Store) editOnce(ctx context.Context, skus []string, fn editFunc) error {
	end, err := s.turns.take(ctx, skus)
	if err != nil {
		return err
	}
	defer end()
	return pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		if err := setTrace(ctx, q); err != nil {
			return err
		}
		change, err := fn(ctx, q)
		if err != nil || change.Object == "" {
			return err
		}
		return audit.Append(ctx, tx, change)
	})
}

// lockAfterImports locks the catalog; other imports must not be going to write names.
func lockAfterImports(ctx context.Context, q *db.Queries, importID string, names []string) error {
	if err := q.LockCatalog(ctx); err != nil {
		return fmt.Errorf("lock catalog: %w", err)
	}
	return noImport(ctx, q, importID, names)
}

// noImport returns a pendingError while other imports are going to write names.
func noImport(ctx context.Context, q *db.Queries, importID string, names []string) error {
	batches, err := q.PendingBatches(ctx, db.PendingBatchesParams{ImportID: importID, Names: names})
	if err != nil {
		return fmt.Errorf("look for imports: %w", err)
	}
	if len(batches) > 0 {
		return &pendingError{batches}
	}
	return nil
}

// Import implements app.Editor.
func (s *Store) Import(ctx context.Context, id string, products []domain.ProductInput) (domain.UpsertResult, error) {
	if err := s.accept(ctx, id, products); err != nil {
		return domain.UpsertResult{}, err
	}
	if err := s.write(ctx, id); err != nil {
		return domain.UpsertResult{}, err
	}
	row, err := s.q.GetImport(ctx, id)
	if err != nil {
		return domain.UpsertResult{}, fmt.Errorf("read import: %w", err)
	}
	if len(row.Refused) > 0 {
		return domain.UpsertResult{}, &domain.SKUError{Err: domain.ErrSKUTaken, SKUs: slices.Sorted(slices.Values(row.Refused))}
	}
	return domain.UpsertResult{Created: row.Created, Updated: row.Updated, Variants: row.Variants}, nil
}

// accept checks an import and keeps what it is going to write, all in one transaction;
// the catalog is locked for the check alone. A repeat is accepted as it was before.
func (s *Store) accept(ctx context.Context, id string, products []domain.ProductInput) error {
	batches, hash, err := pack(id, products)
	if err != nil {
		return err
	}
	all := names(products)
	return s.afterImports(ctx, nil, func(ctx context.Context, q *db.Queries) (none audit.Change, err error) {
		u := upsert{q: q, currency: s.currency, products: products}
		begun, err := q.InsertImport(ctx, db.InsertImportParams{ID: id, Hash: hash, Variants: int64(countVariants(products))})
		if err != nil {
			return none, fmt.Errorf("insert import: %w", err)
		}
		if begun == 0 {
			return none, sameImport(ctx, q, id, hash)
		}
		if _, err := q.InsertImportBatch(ctx, batches); err != nil {
			return none, fmt.Errorf("insert batches: %w", err)
		}
		if err := lockAfterImports(ctx, q, id, all); err != nil {
			return none, err
		}
		if err := u.check(ctx); err != nil {
			return none, err
		}
		if err := u.checkStock(ctx); err != nil {
			return none, err
		}
		if err := q.CountImport(ctx, db.CountImportParams{ID: id, Created: u.created, Updated: int64(len(products)) - u.created}); err != nil {
			return none, fmt.Errorf("count import: %w", err)
		}
		return u.recordImport(ctx, id, hash)
	})
}

func sameImport(ctx context.Context, q *db.Queries, id string, hash []byte) error {
	row, err := q.GetImport(ctx, id)
	if err != nil {
		return fmt.Errorf("read import: %w", err)
	}
	if !bytes.Equal(row.Hash, hash) {
		return domain.ErrImportMismatch
	}
	return nil
}

// write writes what is left of an import. Several may do so at once.
func (s *Store) write(ctx context.Context, id string) error {
	for wrote := 0; ; {
		batch, err := s.q.NextBatch(ctx, id)
		if errors.Is(err, pgx.ErrNoRows) {
			if wrote > 0 {
				s.analyze(ctx, wrote)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for the next batch: %w", err)
		}
		n, err := s.writeBatch(ctx, batch)
		if err != nil {
			return err
		}
		wrote += n
	}
}

// setTrace has the events of a transaction be part of the caller's trace.
func setTrace(ctx context.Context, q *db.Queries) error {
	if err := q.SetTrace(ctx, telemetry.TraceParent(ctx)); err != nil {
		return fmt.Errorf("name the trace: %w", err)
	}
	return nil
}

// writeBatch writes a batch, unless another one has, and returns how many products it wrote.
func (s *Store) writeBatch(ctx context.Context, batch int64) (wrote int, err error) {
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		if err := setTrace(ctx, q); err != nil {
			return err
		}
		if err := q.LockCatalog(ctx); err != nil {
			return fmt.Errorf("lock catalog: %w", err)
		}
		packed, err := q.TakeBatch(ctx, batch)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("take batch: %w", err)
		}
		u := upsert{q: q, currency: s.currency, accepted: true}
		if err := json.Unmarshal(packed, &u.products); err != nil {
			return fmt.Errorf("unpack batch: %w", err)
		}
		wrote = len(u.products)
		return u.run(ctx)
	})
	if err == nil {
		return wrote, nil
	}
	// Only a replica of a version that does not know of imports takes a name meanwhile.
	var taken []string
	if skus, ok := errors.AsType[*domain.SKUError](err); ok {
		taken = skus.SKUs
	} else if codes, ok := errors.AsType[*domain.CodeError](err); ok {
		taken = codes.Codes
	} else {
		return 0, err
	}
	if err := s.q.RefuseBatch(ctx, db.RefuseBatchParams{ID: batch, Names: taken}); err != nil {
		return 0, fmt.Errorf("refuse batch: %w", err)
	}
	return 0, nil
}

// FinishImports implements app.Maintenance.
func (s *Store) FinishImports(ctx context.Context) (bool, error) {
	if _, err := s.q.ForgetImports(ctx, db.ForgetImportsParams{KeepUs: keepImports.Microseconds(), MaxImports: forgetBatch}); err != nil {
		return false, fmt.Errorf("forget imports: %w", err)
	}
	id, err := s.q.LeftImport(ctx, leftAfter.Microseconds())
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for imports: %w", err)
	}
	if err := s.write(ctx, id); err != nil {
		return true, errors.Join(err, s.q.PostponeImport(ctx, id))
	}
	return true, nil
}

// pack puts products in batches.
func pack(id string, products []domain.ProductInput) (batches []db.InsertImportBatchParams, hash []byte, err error) {
	sum := sha256.New()
	for len(products) > 0 {
		n, variants := 0, 0
		for n < len(products) && n < batchProducts && (n == 0 || variants+len(products[n].Variants) <= batchVariants) {
			variants += len(products[n].Variants)
			n++
		}
		packed, err := json.Marshal(products[:n])
		if err != nil {
			return nil, nil, fmt.Errorf("pack products: %w", err)
		}
		sum.Write(packed)
		batches = append(batches, db.InsertImportBatchParams{ImportID: id, Names: names(products[:n]), Products: packed})
		products = products[n:]
	}
	return batches, sum.Sum(nil), nil
}

// names are the codes and SKUs of products.
func names(products []domain.ProductInput) []string {
	all := make([]string, 0, len(products)+countVariants(products))
	for _, p := range products {
		all = append(all, p.Code)
		for _, v := range p.Variants {
			if v.SKU != p.Code {
				all = append(all, v.SKU)
			}
		}
	}
	return all
}

func countVariants(products []domain.ProductInput) (n int) {
	for _, p := range products {
		n += len(p.Variants)
	}
	return n
}
