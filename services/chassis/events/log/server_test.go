package log_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"buf.build/go/protovalidate"

	eventv1 "github.com/souk-shop/souk/proto/gen/souk/event/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/retry"
)

func TestPagesOfAScanHaveEveryEventOnce(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	for _, subject := range []string{"thing.a", "thing.b", "thing.a", "thing.c", "thing.a"} {
		appendTo(t, pool, subject)
	}
	want, _ := readAll(t, l, log.Cursor{}, 10, 5)
	server := log.NewServer(l)
	req := &eventv1.ScanEventsRequest{PageSize: 2, Viewer: access.Operator("ann")}
	var got []string
	for range 4 {
		if err := protovalidate.Validate(req); err != nil {
			t.Fatal(err)
		}
		page, err := server.ScanEvents(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEvents() {
			got = append(got, events.Event{Subject: e.GetSubject(), Version: e.GetVersion()}.ID())
		}
		req.Cursor = page.GetNextCursor()
	}
	equal(t, "scanned", got, want)
}

func TestTheEventsOfASubjectAreListed(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	for range 3 {
		appendTo(t, pool, "thing.a")
	}
	server := log.NewServer(l)
	list := func(subject string, after int64, size int32) (versions []int64, newest int64) {
		res, err := server.ListEvents(t.Context(), &eventv1.ListEventsRequest{Subject: subject, AfterVersion: after, PageSize: size})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range res.GetEvents() {
			versions = append(versions, e.GetVersion())
		}
		return versions, res.GetNewestVersion()
	}
	versions, newest := list("thing.a", 1, 0)
	equal(t, "after 1", []any{versions, newest}, []any{[]int64{2, 3}, 3})
	versions, newest = list("thing.a", 0, 2)
	equal(t, "two", []any{versions, newest}, []any{[]int64{1, 2}, 3})
	versions, newest = list("thing.z", 0, 0)
	equal(t, "of none", []any{versions, newest}, []any{[]int64{}, 0})
}

// The last page says until when it is whole; a transaction that runs holds that back, and
// what waits for it.
func TestAScanSaysUntilWhenItIsComplete(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	server := log.NewServer(l)
	scan := func(kind string, size int32) *eventv1.ScanEventsResponse {
		res, err := server.ScanEvents(t.Context(), &eventv1.ScanEventsRequest{Kind: kind, PageSize: size})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	var before, after time.Time
	now := func(at *time.Time) {
		if err := pool.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(at); err != nil {
			t.Fatal(err)
		}
	}
	now(&before)
	if at := scan("", 0).GetCompleteUntil().AsTime(); at.Before(before) {
		t.Errorf("an empty log is complete until %v, at %v", at, before)
	}
	appendTo(t, pool, "thing.a")
	appendTo(t, pool, "things.b")
	await := func(kind string, events int, complete time.Time) *eventv1.ScanEventsResponse {
		for { // transactions of other tests hold the log back, too
			page := scan(kind, 0)
			if len(page.GetEvents()) == events && !page.GetCompleteUntil().AsTime().Before(complete) {
				return page
			}
			if err := retry.Sleep(t.Context(), 10*time.Millisecond); err != nil {
				t.Fatalf("%d events, complete until %v: %v", len(page.GetEvents()), page.GetCompleteUntil().AsTime(), err)
			}
		}
	}
	await("", 2, before)
	if page := scan("thing", 0); len(page.GetEvents()) != 1 || page.GetEvents()[0].GetSubject() != "thing.a" {
		t.Errorf("of a kind: %v", page.GetEvents())
	}
	if page := scan("", 1); page.CompleteUntil != nil {
		t.Error("a page that others follow is complete")
	}

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), "SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, pool, "thing.c")
	now(&after)
	if page := scan("", 0); len(page.GetEvents()) != 2 || !page.GetCompleteUntil().AsTime().Before(after) {
		t.Errorf("%d events, complete until %v; at %v one more was committed", len(page.GetEvents()), page.GetCompleteUntil().AsTime(), after)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	await("", 3, after)
}

// A page of a kind that found no more goes on behind events of other kinds, which it has passed:
// it does not read them again each second. What is written later comes after it.
func TestAScanOfAKindPassesTheOthersOnce(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	appendTo(t, pool, "thing.a")
	for range 3 {
		appendTo(t, pool, "stock.b")
	}
	other := begin(t, pool)
	appendTo(t, other, "thing.late") // it commits after what follows it
	appendTo(t, pool, "thing.c")
	server := log.NewServer(l)
	cursor, seen := "", map[string]int{}
	scan := func() int {
		req := &eventv1.ScanEventsRequest{Kind: "thing", Cursor: cursor, Viewer: access.Operator("ann")}
		if err := protovalidate.Validate(req); err != nil {
			t.Fatal(err)
		}
		page, err := server.ScanEvents(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEvents() {
			seen[e.GetSubject()]++
		}
		cursor = page.GetNextCursor()
		return len(page.GetEvents())
	}
	passed := func() (rest int) {
		var tx uint64
		var version int64
		var subject string
		if _, err := fmt.Sscanf(cursor, "%d:%d:%s", &tx, &version, &subject); err != nil {
			t.Fatal(err)
		}
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM souk_events WHERE (tx, subject, version) > ($1, $2, $3) AND subject LIKE 'stock.%'", tx, subject, version).Scan(&rest); err != nil {
			t.Fatal(err)
		}
		return rest
	}
	for scan(); passed() > 0; scan() { // transactions of other tests hold the log back
		if err := retry.Sleep(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if seen["thing.late"] != 0 || seen["thing.c"] != 0 {
		t.Errorf("what is not settled was read: %v", seen)
	}
	commit(t, other)
	for seen["thing.c"] == 0 || seen["thing.late"] == 0 {
		if scan(); t.Context().Err() != nil {
			t.Fatal(seen)
		}
	}
	for subject, times := range seen {
		if times != 1 {
			t.Errorf("%s was read %d times", subject, times)
		}
	}
}
