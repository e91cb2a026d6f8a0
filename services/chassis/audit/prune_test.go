package audit_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	auditv1 "github.com/souk-shop/souk/proto/gen/souk/audit/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/audit"
)

// written appends entries and returns the heads: that of entry n is at n.
func written(t *testing.T, pool *pgxpool.Pool, entries int) []audit.Head {
	t.Helper()
	heads := []audit.Head{verify(t, pool, audit.Expected{}).Head}
	for i := range entries {
		add(t, pool, audit.Change{Object: fmt.Sprintf("thing %d", i+1), After: i})
		heads = append(heads, verify(t, pool, audit.Expected{}).Head)
	}
	return heads
}

func prune(t *testing.T, pool *pgxpool.Pool, before time.Time) audit.Pruned {
	t.Helper()
	p, err := audit.RemoveBefore(t.Context(), pool, "ann", before)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPrune: what is old is removed from the beginning, a checkpoint stands for it, and what
// is left is verified, by anchors, too.
func TestPrune(t *testing.T) {
	t.Parallel()
	pool := open(t)
	if p := prune(t, pool, time.Now().Add(-time.Second)); p.Removed != 0 {
		t.Errorf("of an empty log: %+v", p)
	}
	heads := written(t, pool, 10)
	if p := prune(t, pool, heads[1].At); p.Removed != 0 {
		t.Errorf("nothing is older than the first: %+v", p)
	}
	p := prune(t, pool, heads[4].At)
	if p.Removed != 3 || p.Through != 3 || p.Checkpoint.Sequence != 11 || p.Checkpoint.Chain != heads[0].Chain {
		t.Fatalf("%+v", p)
	}
	all := read(t, pool)
	last := all[len(all)-1]
	if len(all) != 8 || all[0].Sequence != 4 || last.Action != audit.Prune || last.Operator != "ann" || last.Object != "entries 1 to 3" ||
		!strings.Contains(last.Before, hex.EncodeToString(heads[3].Hash)) {
		t.Errorf("%d entries, the last %+v", len(all), last)
	}
	for name, test := range map[string]struct {
		want  audit.Expected
		fault int64
	}{
		"no anchors":             {audit.Expected{}, 0},
		"all":                    {audit.Expected{Anchors: heads}, 0},
		"since the newest":       {audit.Expected{Anchors: heads, SinceAnchor: true}, 0},
		"the last removed":       {audit.Expected{Anchors: heads[3:4]}, 0},
		"since the last removed": {audit.Expected{Anchors: heads[3:4], SinceAnchor: true}, 0},
		"the checkpoint":         {audit.Expected{Anchors: []audit.Head{p.Checkpoint}, SinceAnchor: true}, 0},
		"older than the removed": {audit.Expected{Anchors: heads[1:3]}, 3},
		"another last removed":   {audit.Expected{Anchors: []audit.Head{{Chain: heads[3].Chain, Sequence: 3, Hash: heads[2].Hash}}}, 3},
	} {
		v := verify(t, pool, test.want)
		if v.Fault == nil && test.fault != 0 || v.Fault != nil && v.Fault.Sequence != test.fault {
			t.Errorf("%s: %v", name, v.Fault)
		}
		if v.Checkpoint == nil || v.Checkpoint.Through != 3 || v.Checkpoint.Sequence != 11 {
			t.Errorf("%s: checkpoint %+v", name, v.Checkpoint)
		}
	}
	if again := prune(t, pool, heads[4].At); again.Removed != 0 || verify(t, pool, audit.Expected{}).Head.Sequence != 11 {
		t.Errorf("a repeat: %+v", again)
	}
	// Another one removes the checkpoint of the first with what else is old.
	if p := prune(t, pool, time.Now().Add(-time.Microsecond)); p.Removed != 8 || p.Through != 11 {
		t.Errorf("all: %+v", p)
	}
	if p := prune(t, pool, time.Now().Add(-time.Microsecond)); p.Removed != 0 {
		t.Errorf("a checkpoint is replaced by another one: %+v", p)
	}
	add(t, pool, audit.Change{Object: "later"})
	if v := verify(t, pool, audit.Expected{Anchors: heads[:1]}); v.Fault != nil || v.Entries != 2 {
		t.Errorf("%+v", v)
	}
	if _, err := audit.RemoveBefore(t.Context(), pool, "ann", time.Now().Add(time.Hour)); err == nil {
		t.Error("entries of the future are removed")
	}
	if _, err := audit.RemoveBefore(t.Context(), pool, "", time.Now().Add(-time.Microsecond)); err == nil {
		t.Error("entries are removed without an operator's name")
	}
}

// TestTamperingWithWhatIsPruned: beside what a checkpoint covers everything is found.
func TestTamperingWithWhatIsPruned(t *testing.T) {
	t.Parallel()
	pool := open(t)
	heads := written(t, pool, 10)
	removed := read(t, pool)[2]
	prune(t, pool, heads[4].At)
	checkpoint := fmt.Sprintf(`{"through": 5, "hash": "%x"}`, heads[5].Hash)
	for name, test := range map[string]struct {
		edit func(f forger)
		at   int64 // 0 where it is not sure
	}{
		"the next removed":    {func(f forger) { f.exec("DELETE FROM souk_audit WHERE sequence = 4") }, 4},
		"a later one removed": {func(f forger) { f.exec("DELETE FROM souk_audit WHERE sequence = 8") }, 8},
		"all but the last":    {func(f forger) { f.exec("DELETE FROM souk_audit WHERE sequence < 11") }, 4},
		"the next changed":    {func(f forger) { f.exec("UPDATE souk_audit SET operator = 'eve' WHERE sequence = 4") }, 4},
		"no checkpoint":       {func(f forger) { f.exec("DELETE FROM souk_audit WHERE sequence = 11") }, 1},
		"another hash":        {func(f forger) { f.exec("UPDATE souk_audit SET before = replace(before, '3', '4') WHERE sequence = 11") }, 0},
		"more than was":       {func(f forger) { f.exec("UPDATE souk_audit SET before = $1 WHERE sequence = 11", checkpoint) }, 4},
		"no JSON":             {func(f forger) { f.exec("UPDATE souk_audit SET before = '' WHERE sequence = 11") }, 11},
		"no hash":             {func(f forger) { f.exec(`UPDATE souk_audit SET before = '{"through": 3}' WHERE sequence = 11`) }, 4},
		"a negative number":   {func(f forger) { f.exec(`UPDATE souk_audit SET before = '{"through": -3}' WHERE sequence = 11`) }, 11},
		"the checkpoint alone": {func(f forger) {
			f.exec("SELECT souk_audit_append('eve', '', $1, 'x', $2, '', '')", audit.Prune, checkpoint)
		}, 4},
		"more, with a checkpoint that is changed": {func(f forger) {
			f.exec("UPDATE souk_audit SET before = $1 WHERE sequence = 11", checkpoint)
			f.exec("DELETE FROM souk_audit WHERE sequence <= 5")
		}, 11},
		"one put back": {func(f forger) {
			f.exec("INSERT INTO souk_audit SELECT $1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11", removed.Sequence, removed.At, removed.Operator, removed.Caller,
				removed.Action, removed.Object, removed.Before, removed.After, removed.Request, removed.Previous, removed.Hash)
		}, 3},
		"one inserted before": {func(f forger) {
			f.exec("INSERT INTO souk_audit SELECT 3, version, at, 'eve', caller, action, object, before, after, request, previous, hash FROM souk_audit WHERE sequence = 4")
		}, 3},
	} {
		forge(t, pool, func(f forger) {
			test.edit(f)
			if v := verify(t, f, audit.Expected{}); v.Fault == nil || test.at != 0 && v.Fault.Sequence != test.at {
				t.Errorf("%s: %v", name, v.Fault)
			}
		})
	}
	if v := verify(t, pool, audit.Expected{Anchors: heads}); v.Fault != nil {
		t.Errorf("afterwards: %v", v.Fault)
	}
	// Who owns the tables, and leaves the triggers as they are, deletes by checkpoints only.
	for name, checkpoint := range map[string]string{
		"of no hash": `{"through": 5}`, "of another hash": fmt.Sprintf(`{"through": 5, "hash": "%x"}`, heads[6].Hash), "of none": `{"hash": ""}`,
	} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "SELECT souk_audit_append('eve', '', $1, 'x', $2, '', '')", audit.Prune, checkpoint); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "DELETE FROM souk_audit WHERE sequence <= 5"); !forbidden(err) {
			t.Errorf("a checkpoint %s: %v", name, err)
		}
		_ = tx.Rollback(t.Context())
	}
	for _, which := range []string{"sequence = 5", "sequence <= 4", "sequence <= 6", "false"} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "SELECT souk_audit_append('eve', '', $1, 'x', $2, '', '')", audit.Prune, checkpoint); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "DELETE FROM souk_audit WHERE "+which); !forbidden(err) {
			t.Errorf("%s by a checkpoint up to 5: %v", which, err)
		}
		_ = tx.Rollback(t.Context())
	}
}

// TestListEntries: newest first, page by page, narrowed by operator, action and time.
func TestListEntries(t *testing.T) {
	t.Parallel()
	pool := open(t)
	heads := written(t, pool, 5)
	bob := audit.As(t.Context(), audit.Actor{Operator: "bob", Action: "/souk.test.v1.Test/Unset"})
	if err := audit.Append(bob, pool, audit.Change{Object: "thing 6", Before: map[string]int{"n": 1}}); err != nil {
		t.Fatal(err)
	}
	prune(t, pool, heads[2].At)
	server := audit.NewServer(pool)
	sequences := func(req *auditv1.ListEntriesRequest) (found []int64, more bool) {
		t.Helper()
		req.Viewer = access.Operator("ann")
		resp, err := server.ListEntries(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.GetEntries() {
			found = append(found, e.GetSequence())
		}
		return found, resp.GetMore()
	}
	for name, test := range map[string]struct {
		req  *auditv1.ListEntriesRequest
		want []int64
		more bool
	}{
		"all":              {&auditv1.ListEntriesRequest{}, []int64{7, 6, 5, 4, 3, 2}, false},
		"a page":           {&auditv1.ListEntriesRequest{PageSize: 2}, []int64{7, 6}, true},
		"the next":         {&auditv1.ListEntriesRequest{PageSize: 2, BeforeSequence: 6}, []int64{5, 4}, true},
		"the last":         {&auditv1.ListEntriesRequest{PageSize: 2, BeforeSequence: 4}, []int64{3, 2}, false},
		"bob":              {&auditv1.ListEntriesRequest{Operator: "bob"}, []int64{6}, false},
		"nobody":           {&auditv1.ListEntriesRequest{Operator: "b_b"}, nil, false},
		"a method":         {&auditv1.ListEntriesRequest{Action: "Unset"}, []int64{6}, false},
		"a full method":    {&auditv1.ListEntriesRequest{Action: "/souk.test.v1.Test/Set"}, []int64{5, 4, 3, 2}, false},
		"half a method":    {&auditv1.ListEntriesRequest{Action: "nset"}, nil, false},
		"what was removed": {&auditv1.ListEntriesRequest{Action: audit.Prune}, []int64{7}, false},
		"from":             {&auditv1.ListEntriesRequest{From: timestamppb.New(heads[5].At)}, []int64{7, 6, 5}, false},
		"until":            {&auditv1.ListEntriesRequest{Until: timestamppb.New(heads[4].At)}, []int64{3, 2}, false},
		"between":          {&auditv1.ListEntriesRequest{From: timestamppb.New(heads[3].At), Until: timestamppb.New(heads[4].At)}, []int64{3}, false},
	} {
		if got, more := sequences(test.req); !slices.Equal(got, test.want) || more != test.more {
			t.Errorf("%s: %v, more %v", name, got, more)
		}
	}
	resp, err := server.ListEntries(t.Context(), &auditv1.ListEntriesRequest{Operator: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	if e := resp.GetEntries()[0]; e.GetObject() != "thing 6" || e.GetBefore() != `{"n":1}` || e.GetAfter() != "" || len(e.GetHash()) != 32 || time.Since(e.GetAt().AsTime()) > time.Minute {
		t.Errorf("%v", e)
	}
}
