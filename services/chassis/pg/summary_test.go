package pg

import (
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"-- name: GetOrder :one\nSELECT o.id, 'FROM secrets' FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.id = $1": "SELECT orders order_lines",
		"insert into souk_answers (key, body) values ($1, $2) on conflict (key) do update set body = excluded.body":                 "INSERT souk_answers",
		"WITH due AS MATERIALIZED (SELECT id FROM orders FOR UPDATE SKIP LOCKED) UPDATE orders SET state = $1 FROM due":             "SELECT orders UPDATE orders",
		"SELECT extract(epoch FROM now() - created_at) FROM /* FROM nothing */ orders WHERE a IS DISTINCT FROM b":                   "SELECT orders",
		"SELECT u FROM unnest($1::text[]) AS u":     "SELECT",
		"DELETE FROM ONLY carts WHERE id = 17":      "DELETE carts",
		`SELECT 1 FROM "public"."river_job"`:        "SELECT public.river_job",
		"begin read only":                           "BEGIN",
		"LISTEN order_changes":                      "LISTEN",
		"SELECT pg_advisory_xact_lock($1)":          "SELECT",
		"SELECT (SELECT max(n) FROM a), (SELECT 1)": "SELECT a SELECT",
		"SELECT EXISTS (SELECT 1), (SELECT 2)":      "SELECT",
		"":                                          "UNKNOWN",
		"SELECT a × b – 2 FROM straße\xff":          "SELECT straße",
	} {
		if got := summarize(sql); got != want {
			t.Errorf("%s\nis %q, want %q", sql, got, want)
		}
	}
	long := "SELECT 1 FROM a" + strings.Repeat(" JOIN a_long_name_of_a_table ON true JOIN b ON true", 20)
	if got := summarize(long); len(got) > maxSummary || !strings.HasPrefix(got, "SELECT a a_long_name_of_a_table b ") {
		t.Errorf("%d: %s", len(got), got)
	}
}
