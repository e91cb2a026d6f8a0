package rpc

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

// FuzzCursor: every place in a customer's list comes back from its cursor, and
// nothing else is taken for one.
func FuzzCursor(f *testing.F) {
	at := time.Date(2026, 11, 26, 12, 30, 0, 123456000, time.UTC)
	f.Add("ann", at.UnixMicro(), []byte(uuid.MustParse("0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5e").String()[:16]), "")
	f.Add("", int64(0), make([]byte, 16), "AAAA")
	f.Add("ann", int64(-1)<<63, make([]byte, 16), "%%%")
	f.Add("ann\n", int64(1)<<62, []byte("0123456789abcdef"), strings.Repeat("A", base64.RawURLEncoding.EncodedLen(cursorBytes)))
	f.Fuzz(func(t *testing.T, customer string, micros int64, id []byte, text string) {
		if got, err := decodeCursor(customer, text); err == nil {
			if again, err := encodeCursor(customer, domain.Order{ID: got.ID, PlacedAt: got.PlacedAt}); err != nil || again != text {
				t.Errorf("%q is a cursor, and its place has %q, %v", text, again, err)
			}
		} else if !errors.Is(err, domain.ErrInvalidCursor) {
			t.Errorf("%q: %v", text, err)
		}
		if len(id) != 16 {
			return
		}
		o := domain.Order{ID: uuid.UUID(id).String(), PlacedAt: time.UnixMicro(micros).UTC()}
		cursor, err := encodeCursor(customer, o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeCursor(customer, cursor)
		switch {
		case err == nil && (got.PlacedAt.Year() < 1 || got.PlacedAt.Year() > 9999):
			t.Errorf("a cursor of the year %d, which no order was placed in and PostgreSQL may not know", got.PlacedAt.Year())
		case err == nil && (!got.PlacedAt.Equal(o.PlacedAt) || got.ID != o.ID):
			t.Errorf("%s at %v came back as %s at %v", o.ID, o.PlacedAt, got.ID, got.PlacedAt)
		case err != nil && o.PlacedAt.Year() >= 1 && o.PlacedAt.Year() <= 9999:
			t.Errorf("%v: %v", o.PlacedAt, err)
		}
		if _, err := decodeCursor(customer+"x", cursor); !errors.Is(err, domain.ErrInvalidCursor) {
			t.Errorf("the cursor of another's list: %v", err)
		}
		raw, _ := base64.RawURLEncoding.DecodeString(cursor)
		raw[binary.BigEndian.Uint64(id)%cursorBytes] ^= 1
		if _, err := decodeCursor(customer, base64.RawURLEncoding.EncodeToString(raw)); !errors.Is(err, domain.ErrInvalidCursor) {
			t.Errorf("a changed cursor: %v", err)
		}
	})
}
