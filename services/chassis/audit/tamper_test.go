package audit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/audit"
)

// forger is a transaction of who owns the tables: without triggers, and never committed.
type forger struct {
	pgx.Tx
	t testing.TB
}

func forge(t testing.TB, pool *pgxpool.Pool, fn func(forger)) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	f := forger{tx, t}
	f.exec(`ALTER TABLE souk_audit DISABLE TRIGGER ALL, DROP CONSTRAINT souk_audit_pkey,
		DROP CONSTRAINT souk_audit_operator_check, DROP CONSTRAINT souk_audit_action_check, DROP CONSTRAINT souk_audit_object_check;
		ALTER TABLE souk_audit_head DISABLE TRIGGER ALL`)
	fn(f)
}

func (f forger) exec(sql string, args ...any) int64 {
	f.t.Helper()
	tag, err := f.Exec(f.t.Context(), sql, args...)
	if err != nil {
		f.t.Fatalf("%s: %v", sql, err)
	}
	return tag.RowsAffected()
}

// BeginTx makes the forger's unfinished work what is verified.
func (f forger) BeginTx(ctx context.Context, _ pgx.TxOptions) (pgx.Tx, error) { return f.Begin(ctx) }

// rehash makes a chain of what there is, from an entry on, as who can disable the
// triggers can, with the head.
func (f forger) rehash(from int64) {
	f.exec(`CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT * FROM souk_audit WHERE sequence >= $1`, from)
	f.exec(`DELETE FROM souk_audit WHERE sequence >= $1`, from)
	f.exec(`UPDATE souk_audit_head SET sequence = $1 - 1, hash = coalesce(
		(SELECT hash FROM souk_audit WHERE sequence = $1 - 1), sha256(convert_to('souk audit chain ' || chain, 'UTF8')))`, from)
	f.exec(`DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM taken ORDER BY sequence LOOP
		PERFORM souk_audit_append(r.operator, r.caller, r.action, r.object, r.before, r.after, r.request); END LOOP; END $$`)
}

// texts are what is put into fields: of several alphabets, with what separates, quotes
// and escapes, and empty.
func text(r *rand.Rand) string {
	alphabet := []rune("ab\"\\'{}:,|\x01\t\n é世😀")
	out := make([]rune, r.IntN(8))
	for i := range out {
		out[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(out)
}

// TestTampering edits the table at random in every way of a kind, and has it found; what
// was appended is never taken for edited.
func TestTampering(t *testing.T) {
	t.Parallel()
	pool := open(t)
	const entries = 12
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1)) // a test's
	anchors := []audit.Head{verify(t, pool, audit.Expected{}).Head}
	for i := range entries {
		ctx := audit.As(t.Context(), audit.Actor{Operator: "o" + text(r), Caller: text(r), Action: "a" + text(r), Request: text(r)})
		if err := audit.Append(ctx, pool, audit.Change{Object: "x" + text(r), Before: text(r), After: text(r)}); err != nil {
			t.Fatal(err)
		}
		head := verify(t, pool, audit.Expected{}).Head
		anchors = append(anchors, head)
		for _, want := range []audit.Expected{{}, {Anchors: anchors}, {Anchors: anchors, SinceAnchor: true}, {Anchors: anchors[r.IntN(len(anchors)):], SinceAnchor: true}} {
			if v := verify(t, pool, want); v.Fault != nil || v.Head.Sequence != int64(i)+1 {
				t.Fatalf("a false alarm: %+v", v)
			}
		}
	}
	latest := audit.Expected{Anchors: anchors[entries:]}

	any1 := func() int64 { return 1 + r.Int64N(entries) }
	type edit struct {
		name string
		// at is the first entry that is not as it was, 0 where that is not sure.
		make func(f forger) (at int64)
		// hidden can be found by an anchor only.
		hidden bool
	}
	edits := []edit{
		{name: "deleted", make: func(f forger) int64 {
			n := any1()
			f.exec("DELETE FROM souk_audit WHERE sequence = $1", n)
			return n
		}},
		{name: "several deleted", make: func(f forger) int64 {
			n := any1()
			f.exec("DELETE FROM souk_audit WHERE sequence BETWEEN $1 AND $2", n, n+r.Int64N(4))
			return n
		}},
		{name: "the last removed", make: func(f forger) int64 {
			n := any1()
			f.exec("DELETE FROM souk_audit WHERE sequence >= $1", n)
			return n
		}},
		{name: "all removed", make: func(f forger) int64 { f.exec("TRUNCATE souk_audit"); return 1 }},
		{name: "deleted and closed up", make: func(f forger) int64 {
			n := r.Int64N(entries-1) + 1
			f.exec("DELETE FROM souk_audit WHERE sequence = $1", n)
			f.exec("UPDATE souk_audit SET sequence = sequence - 1 WHERE sequence > $1", n)
			return n
		}},
		{name: "a copy inserted", make: func(f forger) int64 {
			n, to := any1(), r.Int64N(entries+3)
			f.exec("INSERT INTO souk_audit SELECT $2, version, at, operator, caller, action, object, before, after, request, previous, hash FROM souk_audit WHERE sequence = $1", n, to)
			return 0
		}},
		{name: "inserted with a hash that is right", make: func(f forger) int64 {
			f.exec("CREATE TEMP TABLE head ON COMMIT DROP AS SELECT * FROM souk_audit_head")
			f.exec("SELECT souk_audit_append('eve', '', 'a', 'o', '', '', '')")
			f.exec("UPDATE souk_audit_head SET sequence = head.sequence, hash = head.hash FROM head")
			return entries + 1
		}},
		{name: "swapped", make: func(f forger) int64 {
			a := any1()
			b := a%entries + 1
			f.exec("UPDATE souk_audit SET sequence = $1::bigint + $2::bigint - sequence WHERE sequence IN ($1, $2)", a, b)
			return min(a, b)
		}},
		{name: "fields moved into the next", make: func(f forger) int64 {
			n := any1()
			f.exec("UPDATE souk_audit SET operator = '', caller = operator || caller WHERE sequence = $1", n)
			return n
		}},
		{name: "changed, its hash made right", make: func(f forger) int64 {
			n := r.Int64N(entries-1) + 1
			f.exec("UPDATE souk_audit SET operator = 'eve' WHERE sequence = $1", n)
			f.exec("CREATE TEMP TABLE later ON COMMIT DROP AS SELECT * FROM souk_audit WHERE sequence > $1", n)
			f.exec("CREATE TEMP TABLE head ON COMMIT DROP AS SELECT * FROM souk_audit_head")
			f.exec("DELETE FROM souk_audit WHERE sequence > $1", n)
			f.rehash(n)
			f.exec("INSERT INTO souk_audit SELECT * FROM later")
			f.exec("UPDATE souk_audit_head SET sequence = head.sequence, hash = head.hash FROM head")
			return n + 1
		}},
		{name: "the head's hash", make: func(f forger) int64 { f.exec("UPDATE souk_audit_head SET hash = 'x'"); return 0 }},
		{name: "the head's number", make: func(f forger) int64 {
			f.exec("UPDATE souk_audit_head SET sequence = $1", entries+1-2*r.Int64N(2))
			return 0
		}},
		{name: "the head's chain", make: func(f forger) int64 {
			f.exec("UPDATE souk_audit_head SET chain = gen_random_uuid()")
			return 1
		}},
		{name: "no log", make: func(f forger) int64 { f.exec("DROP TABLE souk_audit_head, souk_audit"); return 1 }},
		{name: "no head", make: func(f forger) int64 { f.exec("DELETE FROM souk_audit_head"); return 1 }},
		{name: "the last removed, with the head", hidden: true, make: func(f forger) int64 {
			n := any1()
			f.exec("DELETE FROM souk_audit WHERE sequence >= $1", n)
			f.rehash(n)
			return n
		}},
		{name: "changed, and the chain written anew", hidden: true, make: func(f forger) int64 {
			n := any1()
			f.exec("UPDATE souk_audit SET operator = 'eve' WHERE sequence = $1", n)
			f.rehash(n)
			return 0
		}},
		{name: "another chain in its place", hidden: true, make: func(f forger) int64 {
			f.exec("UPDATE souk_audit_head SET chain = gen_random_uuid()")
			f.rehash(1)
			return 1
		}},
	}
	for _, column := range []string{"operator", "caller", "action", "object", "before", "after", "request"} {
		edits = append(edits, edit{name: "changed " + column, make: func(f forger) int64 {
			n := any1()
			f.exec(fmt.Sprintf("UPDATE souk_audit SET %s = CASE WHEN %[1]s = $2 THEN %[1]s || '!' ELSE $2 END WHERE sequence = $1", column), n, text(r))
			return n
		}})
	}
	for column, value := range map[string]string{
		"version": "version + 1", "at": "at + interval '1 microsecond'", "previous": "previous || '\\x00'", "hash": "sha256(hash)",
		"sequence": "sequence + 100",
	} {
		edits = append(edits, edit{name: "changed " + column, make: func(f forger) int64 {
			n := any1()
			f.exec(fmt.Sprintf("UPDATE souk_audit SET %s = %s WHERE sequence = $1", column, value), n)
			return n
		}})
	}
	edits = append(edits, edit{name: "no time", make: func(f forger) int64 {
		n := any1()
		f.exec("UPDATE souk_audit SET at = 'infinity' WHERE sequence = $1", n)
		return n
	}})
	for _, e := range edits {
		for range 8 {
			forge(t, pool, func(f forger) {
				at := e.make(f)
				if v := verify(t, f, audit.Expected{}); (v.Fault == nil) != e.hidden {
					t.Errorf("%s: %+v", e.name, v.Fault)
				} else if v.Fault != nil && at != 0 && v.Fault.Sequence != at {
					t.Errorf("%s: %v, want entry %d", e.name, v.Fault, at)
				}
				if v := verify(t, f, latest); v.Fault == nil || at != 0 && !e.hidden && v.Fault.Sequence != at {
					t.Errorf("%s: with an anchor: %v", e.name, v.Fault)
				}
			})
		}
	}
	if v := verify(t, pool, audit.Expected{Anchors: anchors}); v.Fault != nil || v.Entries != entries {
		t.Errorf("afterwards: %+v", v)
	}
	wrong := slices.Clone(anchors[entries:])
	wrong[0].Hash = anchors[1].Hash
	if v := verify(t, pool, audit.Expected{Anchors: append(wrong, anchors...)}); v.Fault == nil {
		t.Error("two anchors that differ were taken")
	}
}
