// Package logtest reads logs of events in tests of the services that write them.
package logtest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/souk-shop/souk/services/chassis/events/log"
)

// Of returns the messages of a subject's events, and fails the test for a version that is
// missing or an event that cannot be read.
func Of(t testing.TB, pool *pgxpool.Pool, subject string) []proto.Message {
	t.Helper()
	entries, newest, err := log.New(pool, "test").List(t.Context(), subject, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if int(newest) != len(entries) {
		t.Errorf("%s: %d events, and the newest version is %d", subject, len(entries), newest)
	}
	messages := make([]proto.Message, len(entries))
	for i, e := range entries {
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", e.ID(), err)
		}
		if e.Version != int64(i+1) {
			t.Errorf("%s follows version %d", e.ID(), i)
		}
		messages[i] = message(t, e)
	}
	return messages
}

func message(t testing.TB, e log.Entry) proto.Message {
	t.Helper()
	found, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
	if err != nil {
		t.Fatal(err)
	}
	m := found.New().Interface()
	if err := proto.Unmarshal(e.Data, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// Types are the names of messages, without their package.
func Types(messages []proto.Message) string {
	names := make([]string, len(messages))
	for i, m := range messages {
		names[i] = string(m.ProtoReflect().Descriptor().Name())
	}
	return strings.Join(names, " ")
}

// Dump is all of a log but where its rows stand, in the order of subjects and versions.
func Dump(t testing.TB, pool *pgxpool.Pool, columns string) (dump []string) {
	t.Helper()
	rows, err := pool.Query(t.Context(), fmt.Sprintf("SELECT concat_ws(' ', %s) FROM souk_events ORDER BY subject, version", columns))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		dump = append(dump, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return dump
}

// Again runs the statement of a migration that makes events of the past.
func Again(t testing.TB, pool *pgxpool.Pool, migration string) {
	t.Helper()
	sql, err := os.ReadFile(migration)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(sql), "-- +goose StatementBegin")
	statement, _, ok := strings.Cut(rest, "-- +goose StatementEnd")
	if !ok {
		t.Fatalf("%s has no statement", migration)
	}
	if _, err := pool.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
