package rpc

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// A cursor is a place in a list: the time and id of the last order of a page,
// and a checksum that ties it to the list of one customer. It is no secret and
// grants nothing; the checksum only tells mistakes apart.
const (
	cursorVersion = 1
	cursorBytes   = 1 + 8 + 16 + 4
)

func encodeCursor(customerID string, last domain.Order) (string, error) {
	id, err := uuid.Parse(last.ID)
	if err != nil {
		return "", err
	}
	b := make([]byte, 0, cursorBytes)
	b = append(b, cursorVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(last.PlacedAt.UnixMicro()))
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, checksum(customerID, b))
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// decodeCursor returns the position. Errors: domain.ErrInvalidCursor.
func decodeCursor(customerID, cursor string) (app.Position, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != cursorBytes || b[0] != cursorVersion {
		return app.Position{}, domain.ErrInvalidCursor
	}
	body, sum := b[:cursorBytes-4], binary.BigEndian.Uint32(b[cursorBytes-4:])
	if sum != checksum(customerID, body) {
		return app.Position{}, domain.ErrInvalidCursor
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(body[1:9]))).UTC()
	// A client can compute a checksum, and PostgreSQL fails on a time beyond its own.
	if at.Year() < 1 || at.Year() > 9999 {
		return app.Position{}, domain.ErrInvalidCursor
	}
	return app.Position{PlacedAt: at, ID: uuid.UUID(body[9:25]).String()}, nil
}

func checksum(customerID string, body []byte) uint32 {
	return crc32.ChecksumIEEE(append([]byte("orders of "+customerID+"\n"), body...))
}
