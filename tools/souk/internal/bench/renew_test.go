package bench

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestRenewGivesNewIdentitiesConsistently(t *testing.T) {
	t.Parallel()
	since := time.Now().Add(-time.Second)
	id := uuid.Must(uuid.NewV7())
	old := uuid.MustParse("01900000-0000-7000-8000-000000000001") // July 2024
	r := newRenewer(since)

	got := r.renew(id).(uuid.UUID)
	if got == id {
		t.Fatal("a fresh id was kept")
	}
	if r.renew(old).(uuid.UUID) != old {
		t.Error("an id from before the recording was replaced")
	}
	if s := r.renew("key " + id.String()).(string); s != "key "+got.String() {
		t.Errorf("in text the id became %q, elsewhere %s", s, got)
	}
	var doc struct{ ID uuid.UUID }
	b, _ := json.Marshal(struct{ ID uuid.UUID }{id})
	if err := json.Unmarshal(r.renew(b).([]byte), &doc); err != nil || doc.ID != got {
		t.Errorf("in JSON the id became %v, %v", doc.ID, err)
	}
	list := r.renew([]uuid.UUID{id, old}).([]uuid.UUID)
	if list[0] != got || list[1] != old {
		t.Errorf("in a list: %v", list)
	}
	ptr := r.renew(&id).(*uuid.UUID)
	if *ptr != got || id == got {
		t.Errorf("through a pointer: %v, and the recorded one is now %v", *ptr, id)
	}
	number := "S-7K3M-9QXV"
	if n := r.renew(number).(string); n == number || len(n) != len(number) || n[:2] != "S-" || n[6] != '-' {
		t.Errorf("number %q became %q", number, n)
	}
	if again := newRenewer(since).renew(id).(uuid.UUID); again == got {
		t.Error("two copies share an id")
	}
	if at := r.renew(since).(time.Time); !at.Equal(since) {
		t.Errorf("a time became %v", at)
	}
}

func TestForegroundLeavesOutWhatRunsByTheClock(t *testing.T) {
	t.Parallel()
	r := newRenewer(time.Now().Add(-time.Second))
	id := uuid.Must(uuid.NewV7())
	st := func(sql string, args ...any) []statement { return []statement{{sql, args}} }
	rounds := []round{
		{database: "order", statements: st("begin")},
		{database: "order", statements: st("insert into orders values ($1)", id)},
		{database: "order", statements: st("commit")},
		{database: "order", statements: st("select 1 from river_job")},
		{database: "cart", statements: st("begin")},
		{database: "cart", statements: st("delete from carts where updated_at < $1", time.Now())},
		{database: "cart", statements: st("commit")},
		{database: "cart", statements: st("select * from carts where id = $1", id)},
	}
	got := foreground(rounds, r.names)
	want := []int{0, 1, 2, 7}
	if len(got) != len(want) {
		t.Fatalf("kept %d rounds: %+v", len(got), got)
	}
	for i, w := range want {
		if got[i].statements[0].sql != rounds[w].statements[0].sql {
			t.Errorf("round %d is %q, want %q", i, got[i].statements[0].sql, rounds[w].statements[0].sql)
		}
	}
}
