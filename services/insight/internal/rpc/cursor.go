package rpc

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/souk-shop/souk/services/insight/internal/app"
	"github.com/souk-shop/souk/services/insight/internal/domain"
)

// A cursor is a place in a list: the time and id of the last row of a page, and a checksum
// that ties it to the list and its filter. It is no secret and grants nothing; the checksum
// only tells mistakes apart.
const (
	cursorVersion = 1
	cursorBytes   = 1 + 8 + 16 + 4
)

func encodeCursor(list string, at time.Time, rowID string) (string, error) {
	id, err := uuid.Parse(rowID)
	if err != nil {
		return "", err
	}
	b := make([]byte, 0, cursorBytes)
	b = append(b, cursorVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro()))
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, checksum(list, b))
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// decodeCursor returns the place, the beginning for "". Errors: domain.ErrInvalidCursor.
func decodeCursor(list, cursor string) (app.Place, error) {
	if cursor == "" {
		return app.Beginning(), nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != cursorBytes || b[0] != cursorVersion {
		return app.Place{}, domain.ErrInvalidCursor
	}
	body, sum := b[:cursorBytes-4], binary.BigEndian.Uint32(b[cursorBytes-4:])
	if sum != checksum(list, body) {
		return app.Place{}, domain.ErrInvalidCursor
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(body[1:9]))).UTC()
	// A client can compute a checksum, and PostgreSQL fails on a time beyond its own.
	if at.Year() < 1 || at.Year() > 9999 {
		return app.Place{}, domain.ErrInvalidCursor
	}
	return app.Place{At: at, ID: uuid.UUID(body[9:25]).String()}, nil
}

// listOf names a list: its request without the page.
func listOf(name string, filter proto.Message) (string, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(filter)
	return name + "\n" + string(b), err
}

func checksum(list string, body []byte) uint32 {
	return crc32.ChecksumIEEE(append([]byte(list+"\n"), body...))
}
