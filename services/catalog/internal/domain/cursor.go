package domain

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"regexp"
)

// Cursors turns positions into opaque text and back. The text is bound to the
// filter and the order by a keyed checksum: a cursor that was changed, made up
// or taken from another listing is refused.
type Cursors struct {
	// Key makes cursors unforgeable. All replicas need the same. What a forged
	// one could do is only to start a page elsewhere; a published key is
	// therefore tolerable.
	Key []byte
}

const cursorSum = 12 // bytes of the checksum kept

// Encode returns the cursor of a position, or "" for nil.
func (c Cursors) Encode(l Listing, p *Position) string {
	if p == nil {
		return ""
	}
	body, err := json.Marshal(cursorBody{string(p.Match), p.Key, p.Text, p.ID, p.Query, p.Window.From, p.Window.To})
	if err != nil {
		panic("a cursor of plain values must marshal: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(append(c.sum(l, body), body...))
}

// Decode returns the position of a cursor, nil for "". Errors: ErrInvalidCursor.
func (c Cursors) Decode(l Listing, cursor string) (*Position, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) <= cursorSum {
		return nil, ErrInvalidCursor
	}
	sum, body := raw[:cursorSum], raw[cursorSum:]
	if !hmac.Equal(sum, c.sum(l, body)) {
		return nil, ErrInvalidCursor
	}
	var b cursorBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, ErrInvalidCursor
	}
	p := &Position{Match: Match(b.Match), Key: b.Key, Text: b.Text, ID: b.ID, Query: b.Query, Window: Window{b.From, b.To}}
	if !p.possible(l) {
		return nil, ErrInvalidCursor
	}
	return p, nil
}

var productID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// possible reports that a listing can have the position. With a key that
// everybody knows a checksum proves nothing, and the database fails on what is
// no id and no text.
func (p *Position) possible(l Listing) bool {
	switch p.Match {
	case MatchAll:
		if l.Filter.Query != "" && l.Filter.State == "" {
			return false
		}
	case MatchWords, MatchClose:
		if l.Filter.Query == "" || l.Filter.State != "" {
			return false
		}
	default:
		return false
	}
	return productID.MatchString(p.ID) && CheckText("", p.Text) == nil && CheckText("", p.Query) == nil &&
		p.Window.From >= 0 && p.Window.From <= p.Window.To && p.Window.To <= LastShelf
}

type cursorBody struct {
	Match string `json:"m"`
	Key   int64  `json:"k,omitempty"`
	Text  string `json:"t,omitempty"`
	ID    string `json:"i"`
	Query string `json:"q,omitempty"`
	From  int    `json:"f,omitempty"`
	To    int    `json:"w,omitempty"`
}

func (c Cursors) sum(l Listing, body []byte) []byte {
	bound, err := json.Marshal(struct {
		Version int
		Filter  Filter
		Sort    Sort
	}{2, l.Filter, l.Sort})
	if err != nil {
		panic("a filter of plain values must marshal: " + err.Error())
	}
	mac := hmac.New(sha256.New, c.Key)
	mac.Write(bound)
	mac.Write([]byte{0})
	mac.Write(body)
	return mac.Sum(nil)[:cursorSum]
}
