package rpc

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	"github.com/souk-shop/souk/services/insight/internal/app"
	"github.com/souk-shop/souk/services/insight/internal/domain"
)

// FuzzCursor: every place in a list comes back from its cursor, and nothing else is taken for
// one: not that of another list, and not one with a bit changed.
func FuzzCursor(f *testing.F) {
	at := time.Date(2026, 11, 26, 12, 30, 0, 123456000, time.UTC)
	f.Add("orders\n", at.UnixMicro(), []byte("0123456789abcdef"), "")
	f.Add("", int64(0), make([]byte, 16), "AAAA")
	f.Add("refunds\n", int64(-1)<<63, make([]byte, 16), "%%%")
	f.Add("orders\nx", int64(1)<<62, []byte("fedcba9876543210"), strings.Repeat("A", base64.RawURLEncoding.EncodedLen(cursorBytes)))
	f.Fuzz(func(t *testing.T, list string, micros int64, id []byte, text string) {
		got, err := decodeCursor(list, text)
		switch {
		case text == "":
			if err != nil || got != app.Beginning() {
				t.Errorf("no cursor: %+v, %v", got, err)
			}
		case err == nil:
			if again, err := encodeCursor(list, got.At, got.ID); err != nil || again != text {
				t.Errorf("%q is a cursor, and its place has %q, %v", text, again, err)
			}
		case !errors.Is(err, domain.ErrInvalidCursor):
			t.Errorf("%q: %v", text, err)
		}
		if len(id) != 16 {
			return
		}
		placed := time.UnixMicro(micros).UTC()
		cursor, err := encodeCursor(list, placed, uuid.UUID(id).String())
		if err != nil {
			t.Fatal(err)
		}
		known := placed.Year() >= 1 && placed.Year() <= 9999 // to PostgreSQL
		got, err = decodeCursor(list, cursor)
		if (err == nil) != known || err == nil && (!got.At.Equal(placed) || got.ID != uuid.UUID(id).String()) {
			t.Errorf("%x at %v came back as %+v, %v", id, placed, got, err)
		}
		if _, err := decodeCursor(list+"x", cursor); !errors.Is(err, domain.ErrInvalidCursor) {
			t.Errorf("the cursor of another list: %v", err)
		}
		raw, _ := base64.RawURLEncoding.DecodeString(cursor)
		raw[binary.BigEndian.Uint64(id)%cursorBytes] ^= 1
		if _, err := decodeCursor(list, base64.RawURLEncoding.EncodeToString(raw)); !errors.Is(err, domain.ErrInvalidCursor) {
			t.Errorf("a changed cursor: %v", err)
		}
	})
}

// A cursor goes with its filter: each field of it makes another list.
func TestEachFilterIsAListOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range []*insightv1.OrderFilter{
		nil,
		{States: paid},
		{PlacedFrom: timestamppb.New(time.Unix(1, 0))},
		{PlacedBefore: timestamppb.New(time.Unix(1, 0))},
		{Number: "S-1"},
		{CustomerIds: []string{uuid.Nil.String()}},
		{Sku: "S-1"},
		{ProductId: uuid.Nil.String()},
		{Country: "GB"},
		{Currency: "GBP"},
	} {
		list, err := listOf("orders", f)
		if err != nil || seen[list] {
			t.Errorf("%v is the list %q as well: %v", f, list, err)
		}
		seen[list] = true
	}
	if list, err := listOf("refunds", (*insightv1.OrderFilter)(nil)); err != nil || seen[list] {
		t.Errorf("refunds are the list %q: %v", list, err)
	}
}
