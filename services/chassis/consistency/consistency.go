// Package consistency lets a caller read its own writes from replicas of databases, which
// lag behind: a token says how far each database had to be for what the caller has written,
// and a replica that is not there yet does not answer (package pg).
//
// The token travels with the caller: in the header Souk-Consistency of the REST API, in a
// cookie of the storefront, in the metadata souk-consistency of gRPC. A service answers with
// the positions of what a call wrote, in its trailer; who called it adds them to its own
// token. A token is no secret and no credential: a forged one makes reads wait for a bounded
// time and go to the primary, and nothing else.
package consistency

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// Header is the token's header in HTTP.
	Header = "Souk-Consistency"
	// Metadata is its key in gRPC, of requests and of trailers.
	Metadata = "souk-consistency"
	// maxLength and maxDatabases bound a token: the shop has six databases.
	maxLength    = 512
	maxDatabases = 16
)

// Position is a place in the write-ahead log of a PostgreSQL server. A timeline begins
// when a standby is promoted: what was on the one before, but after the promotion, is lost.
type Position struct {
	Timeline uint32
	LSN      uint64
}

// Compare orders positions: negative where p is before q. A later timeline is after all
// of an earlier one, because who has seen the later one has written after the promotion.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Timeline, q.Timeline), cmp.Compare(p.LSN, q.LSN))
}

// Covers reports whether a server that has replayed the log up to p has what was written
// at q. One of an earlier timeline has not, however far it is: it may have gone another way.
func (p Position) Covers(q Position) bool { return p.Timeline >= q.Timeline && p.LSN >= q.LSN }

// IsZero reports whether the position is before everything.
func (p Position) IsZero() bool { return p == Position{} }

// String is timeline and LSN in hexadecimal digits: "1/16B3740".
func (p Position) String() string {
	return strings.ToUpper(strconv.FormatUint(uint64(p.Timeline), 16) + "/" + strconv.FormatUint(p.LSN, 16))
}

// Token has the positions of databases by the names of the services that own them. It is
// not changed once made.
type Token map[string]Position

var databaseName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Parse reads a token as String writes it: "catalog:1/16B.order:1/2A". The empty text is
// the empty token. Errors name the header and what is wrong, and repeat none of the text.
func Parse(text string) (Token, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // an empty token is no error
	}
	if len(text) > maxLength {
		return nil, malformed("it is longer than %d characters", maxLength)
	}
	t := Token{}
	for entry := range strings.SplitSeq(text, ".") {
		if len(t) == maxDatabases {
			return nil, malformed("it names more than %d databases", maxDatabases)
		}
		name, at, ok := strings.Cut(entry, ":")
		if !ok || !databaseName.MatchString(name) {
			return nil, malformed("an entry is not <database>:<timeline>/<position>")
		}
		if _, twice := t[name]; twice {
			return nil, malformed("it names a database twice")
		}
		timeline, lsn, _ := strings.Cut(at, "/")
		tli, err1 := strconv.ParseUint(timeline, 16, 32)
		pos, err2 := strconv.ParseUint(lsn, 16, 64)
		if err1 != nil || err2 != nil || tli == 0 || pos > math.MaxInt64 {
			return nil, malformed("a position is not <timeline>/<position> in hexadecimal digits")
		}
		t[name] = Position{Timeline: uint32(tli), LSN: pos}
	}
	return t, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{Header}, args...)...)
}

// String is the token in a header, its databases in order.
func (t Token) String() string {
	entries := make([]string, 0, len(t))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		entries = append(entries, name+":"+t[name].String())
	}
	return strings.Join(entries, ".")
}

// Merge returns a token with the later position of each database of both.
func (t Token) Merge(other Token) Token {
	if len(other) == 0 {
		return t
	}
	merged := make(Token, len(t)+len(other))
	maps.Copy(merged, t)
	for name, at := range other {
		if at.Compare(merged[name]) > 0 {
			merged[name] = at
		}
	}
	return merged
}
