package ownership

import (
	"cmp"
	"slices"
)

// Plan says what of a service's database belongs to a bucket. What moves together is a unit: an
// order with its lines and events, or a cart. A unit is named by a UUID that leads to its bucket.
type Plan struct {
	// Tables are those of the service itself, parents first; those of the chassis are in every plan.
	Tables []Table
	// Jobs is the condition of River's jobs, t, that move with a bucket, $bucket, beside those whose
	// arguments name what they are about; "" for none.
	Jobs string
	// Misfit is a query for text that says why the database cannot be a cell's; no row if it can.
	Misfit string
}

// Table says what becomes of a table's rows when a bucket moves.
type Table struct {
	Name string `json:"name"`
	// Stays is why its rows stay where they are; "" for one whose rows move.
	Stays string `json:"stays,omitempty"`
	// Rows is the condition of the rows, t, that move with units, $units of type uuid[], or else
	// with a bucket, $bucket.
	Rows string `json:"rows,omitempty"`
	// Units is a query for the units that the table has; "" where another table has them, too.
	Units string `json:"units,omitempty"`
	// Fences are the writes that need the bucket to be here. A table without one is written only
	// together with a row of a table that has one, or by what may be lost.
	Fences []Fence `json:"fences,omitempty"`
	// Key is a column of text by which the new cell may have a row already, which the one that moves
	// replaces; "" where none can be there.
	Key string `json:"key,omitempty"`
	// Fresh are columns that get their default in the new database.
	Fresh []string `json:"fresh,omitempty"`
	// As are expressions for columns of t that get another value there; $to is the cell's name.
	As map[string]string `json:"as,omitempty"`
	// Quiet is the condition of rows during which no bucket moves: what they stand for looks at
	// all of the cell, and takes long.
	Quiet string `json:"quiet,omitempty"`
	// Horizon is a query for until when what Quiet stands for was done; "" for what is of no time. A bucket does not move to a
	// cell in which that is later: what lies between would be left out.
	Horizon string `json:"horizon,omitempty"`
}

// Fence is a trigger before writes of rows.
type Fence struct {
	// On are the kinds of writes: "INSERT OR UPDATE".
	On string `json:"on"`
	// Unit is the expression for the unit of a row, r.
	Unit string `json:"unit"`
	// When is the condition of the row, NEW; "" for all.
	When string `json:"when,omitempty"`
}

// OfUnits is the table of rows that have their unit in a column.
func OfUnits(name, column string, fences ...Fence) Table {
	return Table{Name: name, Rows: "t." + column + " = ANY ($units)", Fences: fences}
}

// RootOf is OfUnits of a table in which units are looked for.
func RootOf(name, column, writes string) Table {
	t := OfUnits(name, column, Fence{On: writes, Unit: "r." + column})
	t.Units = "SELECT " + column + " FROM " + name
	return t
}

// Archived is RootOf of what an archive has left of units, with their archive's name. Archives are of a
// cell: elsewhere, theirs has the cell before it, "c1/2026-01".
func Archived(name, column string) Table {
	t := RootOf(name, column, Writes)
	t.As = map[string]string{"archive": `CASE WHEN t.archive LIKE $to || '/%' THEN split_part(t.archive, '/', 2)
		WHEN t.archive LIKE '%/%' THEN t.archive ELSE (SELECT c.name FROM souk_cell c) || '/' || t.archive END`}
	return t
}

// Archives are the files of a cell. No bucket moves while one is being made, or restored.
func Archives() Table {
	return Table{Name: "archives", Stays: "the files are the cell's", Quiet: "finished_at IS NULL"}
}

// Writes of tables.
const (
	Inserts = "INSERT"
	Upserts = "INSERT OR UPDATE"
	Writes  = "INSERT OR UPDATE OR DELETE"
)

// chassis are the tables of the chassis; a service has those that it uses. Also is Plan.Jobs.
func chassis(also string) []Table {
	const ofDatabase, ofProcesses = "state of the database itself", "state of the cell's processes"
	events := Table{
		Name: "souk_events", Rows: "t.subject = ANY (SELECT k.kind || u.unit FROM unnest($units) AS u (unit), (VALUES ('order.'), ('payment.')) AS k (kind))",
		Fresh: []string{"tx"}, // so that the new cell's relay, and who follows its log, come to them
	}
	// What a job is about has its bucket, whichever it is. One that runs is begun anew.
	jobs := Table{
		Name: "river_job", Fresh: []string{"id"},
		Rows: `t.state NOT IN ('completed', 'cancelled', 'discarded')
			AND souk_bucket(nullif(coalesce(nullif(t.args ->> 'order_id', ''), t.args ->> 'refund_id', t.args ->> 'customer_id'), '')::uuid) = $bucket`,
		As: map[string]string{
			"state": "'available'::river_job_state", "scheduled_at": "now()", "attempted_at": "NULL::timestamptz",
		},
		// The event of a webhook is kept by its provider's id, with its job.
		Fences: []Fence{{On: Inserts, Unit: "(r.args ->> 'order_id')::uuid", When: "NEW.kind = 'apply_webhook_event' AND NEW.args ->> 'order_id' <> ''"}},
	}
	if also != "" {
		jobs.Rows = "(" + jobs.Rows + ") OR t.state NOT IN ('completed', 'cancelled', 'discarded') AND (" + also + ")"
	}
	tables := []Table{events, RootOf("souk_answers", "operation_id", Writes), jobs}
	for name, why := range map[string]string{
		"souk_audit": "the chain of entries is the cell's; an entry names its cell", "souk_audit_head": "the chain of entries is the cell's",
		"souk_events_relay": "how far the cell's relay is", "river_leader": ofProcesses, "river_queue": ofProcesses, "river_notification": ofProcesses,
		"river_client": ofProcesses, "river_client_queue": ofProcesses, "river_migration": ofDatabase,
		"goose_db_version": ofDatabase, "souk_events_schema": ofDatabase, "souk_jobs_version": ofDatabase, "souk_answers_version": ofDatabase, "souk_audit_version": ofDatabase, versions: ofDatabase,
		"souk_cell": ofDatabase, "souk_cell_buckets": ofDatabase, "souk_cell_touched": ofDatabase, "souk_cell_tables": ofDatabase,
	} {
		tables = append(tables, Table{Name: name, Stays: why})
	}
	slices.SortStableFunc(tables[3:], func(a, b Table) int { return cmp.Compare(a.Name, b.Name) })
	return tables
}
