package archive

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Verify reads all files of the archives in a folder and compares them with their manifests; and,
// where Options.Databases has some, with what is left of the orders in the shop.
func Verify(ctx context.Context, opts Options, folder string) error {
	found := 0
	var failed error // of each archive that is not as it should be
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasSuffix(path, ".partial") {
			return fs.SkipDir // a run is writing it, or was broken off
		}
		if entry.Name() != manifestFile {
			return nil
		}
		found++
		failed = errors.Join(failed, verifyArchive(ctx, opts, filepath.Dir(path)))
		return nil
	})
	if err == nil && found == 0 {
		err = fmt.Errorf("there is no archive in %s", folder)
	}
	return errors.Join(failed, err)
}

func verifyArchive(ctx context.Context, opts Options, folder string) error {
	man, sum, err := readManifest(folder)
	if err == nil {
		err = man.check(folder)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(opts.Out, "%s: %d orders, %d payments; the files are as they were written\n", folder, man.rows("order", "orders"), man.rows("payment", "attempts"))
	for _, t := range man.Totals {
		fmt.Fprintf(opts.Out, "  %s: captured %d in %d, refunded %d in %d %s\n", t.Book, t.Captured, t.Captures, t.Refunded, t.Refunds, t.Currency)
	}
	if len(opts.Databases) == 0 {
		return nil
	}
	return ofCell(ctx, opts, suffixOf(man), func(a *archiver) error { return a.verify(ctx, man, sum, folder) })
}

func suffixOf(m *manifest) string {
	if m.Cell == "" {
		return ""
	}
	return "_" + m.Cell
}

// verify compares an archive with what the shop has of it.
func (a *archiver) verify(ctx context.Context, man *manifest, sum []byte, folder string) error {
	for _, p := range a.parts() {
		if err := p.knows(ctx, man, sum); err != nil {
			return err
		}
		var archived, in int64
		err := readIndex(filepath.Join(folder, p.service, indexFile), a.batch, func(rows []indexRow) error {
			ids := make([]string, len(rows))
			for i, r := range rows {
				ids[i] = r.id
			}
			in += int64(len(ids))
			var n int64
			err := p.conn.QueryRow(ctx, p.among, ids, man.Name).Scan(&n)
			archived += n
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.service, err)
		}
		var kept int64
		if err := p.conn.QueryRow(ctx, p.kept, man.Name).Scan(&kept); err != nil {
			return fmt.Errorf("%s: %w", p.service, err)
		}
		if kept != archived {
			return fmt.Errorf("%s: %d orders are archived in %s, and the files have %d of them", p.service, kept, man.Name, archived)
		}
		if archived < in {
			fmt.Fprintf(a.Out, "  %s: %d of %d orders of the files are in the shop\n", p.service, in-archived, in)
		}
	}
	return nil
}

// knows fails unless the shop has an archive of this manifest.
func (p database) knows(ctx context.Context, man *manifest, sum []byte) error {
	var noted []byte
	err := p.conn.QueryRow(ctx, "SELECT manifest FROM archives WHERE name = $1", man.Name).Scan(&noted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%s: the shop has no archive %s", p.service, man.Name)
	case err != nil:
		return fmt.Errorf("%s: %w", p.service, err)
	case !slices.Equal(noted, sum):
		return fmt.Errorf("%s: the shop's archive %s has another manifest", p.service, man.Name)
	}
	return nil
}

// Restore puts the orders of an archive's folder back into the shop, a batch of orders in a
// transaction. A run that was broken off goes on when it is repeated. The read model goes on taking
// these orders for archived: one that is being made may be past where their events are again.
func Restore(ctx context.Context, opts Options, folder string) error {
	man, sum, err := readManifest(folder)
	if err == nil {
		err = man.check(folder)
	}
	if err != nil {
		return err
	}
	return ofCell(ctx, opts, suffixOf(man), func(a *archiver) error {
		if err := a.alone(ctx); err != nil {
			return err
		}
		for _, p := range a.parts() {
			if err := p.knows(ctx, man, sum); err != nil {
				return err
			}
		}
		// The payments first: an order that is there has its payment.
		elsewhere := 0
		for _, p := range slices.Backward(a.parts()) {
			back, missing, err := a.restore(ctx, p, man, folder)
			if err != nil {
				return fmt.Errorf("restore what %s has: %w", p.service, err)
			}
			fmt.Fprintf(a.Out, "%s: %d orders of %s are back\n", p.service, back, man.Name)
			if missing > 0 {
				fmt.Fprintf(a.Out, "%s: %d are not: they are in another cell, or in a later archive\n", p.service, missing)
			}
			elsewhere += missing
		}
		if elsewhere > 0 {
			return nil // these files are still needed, and no other archive gets their name
		}
		for _, p := range slices.Backward(a.parts()) {
			// The orders' last: theirs is the one that is looked for.
			sql := fmt.Sprintf("DELETE FROM archives WHERE name = $1 AND finished_at IS NOT NULL AND (%s) = 0", p.kept)
			if _, err := p.conn.Exec(ctx, sql, man.Name); err != nil {
				return fmt.Errorf("%s: forget the archive: %w", p.service, err)
			}
		}
		return nil
	})
}

// restore puts the orders of the files back. missing are those that the table has not, though nothing
// of them is archived here by this name.
func (a *archiver) restore(ctx context.Context, p database, man *manifest, folder string) (restored, missing int, err error) {
	for _, d := range man.Databases {
		for _, f := range d.Files {
			if d.Service == p.service && f.Table != "" {
				if err := p.load(ctx, f, folder); err != nil {
					return 0, 0, fmt.Errorf("%s: %w", f.File, err)
				}
			}
		}
	}
	for _, t := range p.tables { // once all are there
		sql := fmt.Sprintf("UPDATE files_%[1]s r SET souk_order = %[2]s; CREATE INDEX ON files_%[1]s (souk_order); ANALYZE files_%[1]s", t.name, t.order)
		if _, err := p.conn.Exec(ctx, sql); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for after := uuid.Nil.String(); ; {
		if err := a.step("restore " + p.service); err != nil {
			return restored, missing, err
		}
		ids, err := texts(ctx, p.conn, fmt.Sprintf("SELECT souk_order::text FROM files_%s WHERE souk_order > $1::uuid ORDER BY souk_order LIMIT %d", p.tables[0].name, a.batch), after)
		if err != nil || len(ids) == 0 {
			return restored, missing, err
		}
		n := 0
		err = inTx(ctx, p.conn, func(ctx context.Context, tx pgx.Tx) (err error) {
			n, err = p.insert(ctx, tx, man, ids)
			return err
		})
		if err != nil {
			return restored, missing, err
		}
		var there int
		sql := fmt.Sprintf("SELECT count(*) FROM %s WHERE %s = ANY ($1::uuid[])", p.tables[0].name, p.id)
		if err := p.conn.QueryRow(ctx, sql, ids).Scan(&there); err != nil {
			return restored, missing, err
		}
		missing += len(ids) - there
		restored, after = restored+n, ids[len(ids)-1]
	}
}

// load copies a file into a temporary table of this connection, files_TABLE.
func (p database) load(ctx context.Context, f manifestRows, folder string) error {
	if !slices.ContainsFunc(p.tables, func(t table) bool { return t.name == f.Table }) {
		return fmt.Errorf("table %q is not one of an archive's", f.Table)
	}
	file, err := os.Open(filepath.Join(folder, f.File))
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return err
	}
	create := fmt.Sprintf("DROP TABLE IF EXISTS pg_temp.files_%[1]s; CREATE TEMPORARY TABLE files_%[1]s (LIKE %[1]s INCLUDING DEFAULTS); ALTER TABLE files_%[1]s ADD souk_order uuid", f.Table)
	if _, err := p.conn.Exec(ctx, create); err != nil {
		return err
	}
	_, err = p.conn.PgConn().CopyFrom(ctx, plain, fmt.Sprintf("COPY files_%s (%s) FROM STDIN (FORMAT csv, HEADER)", f.Table, columns(f)))
	return err
}

func columns(f manifestRows) string {
	names := make([]string, len(f.Columns))
	for i, c := range f.Columns {
		names[i] = pgx.Identifier{c}.Sanitize()
	}
	return strings.Join(names, ", ")
}

// reached is the place of an event in the log: where its tx is one of another system that this one
// has not reached, such as after a restored dump, this transaction. The log's followers would wait
// until it has.
const reached = "CASE WHEN tx < pg_snapshot_xmax(pg_current_snapshot()) THEN tx ELSE pg_current_xact_id() END"

// insert puts those of the orders back that are in the archive.
func (p database) insert(ctx context.Context, tx pgx.Tx, man *manifest, ids []string) (int, error) {
	ids, err := texts(ctx, tx, p.release, ids, man.Name)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	first := p.tables[0].name
	b := &pgx.Batch{}
	b.Queue(fmt.Sprintf("ALTER TABLE %s DISABLE TRIGGER %s", first, p.told)) // their events are among the rows
	for _, d := range man.Databases {
		for _, f := range d.Files {
			if d.Service == p.service && f.Table != "" {
				b.Queue(fmt.Sprintf("INSERT INTO %[1]s (%[2]s) OVERRIDING SYSTEM VALUE SELECT %[3]s FROM files_%[1]s WHERE souk_order = ANY ($1::uuid[])",
					f.Table, columns(f), strings.ReplaceAll(columns(f), `"tx"`, reached)), ids)
			}
		}
	}
	for _, sql := range p.forget {
		if strings.Contains(sql, "$1") {
			b.Queue(sql, ids)
		} else {
			b.Queue(sql)
		}
	}
	b.Queue(fmt.Sprintf("ALTER TABLE %s ENABLE TRIGGER %s", first, p.told))
	return len(ids), tx.SendBatch(ctx, b).Close()
}
