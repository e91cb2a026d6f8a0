package pg

import (
	"bytes"
	"encoding/binary"
	"io"
)

// A primary with synchronous standbys acknowledges a commit once a standby has it. Where that
// wait is canceled (pg_cancel_backend, an operator) it says "COMMIT" all the same, after a mere
// warning: "canceling wait for synchronous replication due to user request". The transaction is
// on one disk alone, and is lost if that is. No caller may take that for done: it is unknown.
//
// pgx hands warnings to a callback that cannot fail the statement, and the commit of a single
// statement comes with no tag of its own. So the warning is made an error of the same words on
// its way from the server, with the code statement_completion_unknown: every caller, River's
// too, gets it from what made the commit, and pgerr says that it may have happened.

// unconfirmed is the source of the warning in PostgreSQL, in every language.
const unconfirmed = "SyncRepWaitForLSN"

// completionUnknown is the SQLSTATE statement_completion_unknown.
const completionUnknown = "40003"

const (
	// headerSize is that of a message's kind and length.
	headerSize = 5
	// maxNotice is the size, in bytes, from which on notices are not looked at: that of a commit
	// has a few hundred.
	maxNotice = 16 << 10

	noticeResponse = 'N'
	errorResponse  = 'E'
)

// confirming reads a server's messages and makes an error of the warning that a commit was not
// confirmed.
type confirming struct {
	from  io.Reader
	found func() // called with each such warning
	// body is how much comes still of the message that was passed on last.
	body int
	// held was read, and begins with a header or a notice that is not whole; ready is passed on
	// before anything else is read.
	held, ready []byte
	err         error // of from, told after what is ready
}

// Read implements io.Reader.
func (c *confirming) Read(p []byte) (int, error) {
	for len(c.ready) == 0 {
		if err := c.err; err != nil {
			c.err = nil // after a deadline there may be more to read: so pgx waits for notifications
			return 0, err
		}
		n, err := c.from.Read(p)
		c.err = err
		if len(c.held) > 0 {
			c.held = append(c.held, p[:n]...)
			n = c.scan(c.held)
			c.ready, c.held = c.held[:n], bytes.Clone(c.held[n:])
			continue
		}
		pass := c.scan(p[:n])
		c.held = append(c.held, p[pass:n]...)
		if pass > 0 {
			return pass, nil
		}
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// scan returns how much of b may be passed on: all but a header or a notice that is not whole.
// The warning in it is changed.
func (c *confirming) scan(b []byte) (pass int) {
	for {
		n := min(c.body, len(b)-pass)
		c.body -= n
		pass += n
		rest := b[pass:]
		if c.body > 0 || len(rest) < headerSize {
			return pass
		}
		size := 1 + int(binary.BigEndian.Uint32(rest[1:])) // the length counts itself and not the kind
		if rest[0] != noticeResponse || size > maxNotice {
			pass += headerSize
			c.body = max(0, size-headerSize)
			continue
		}
		if len(rest) < size {
			return pass
		}
		if isUnconfirmed(rest[:size]) {
			c.found()
		}
		pass += size
	}
}

// isUnconfirmed reports whether a notice tells of a commit that was not confirmed, and makes an
// error of it.
func isUnconfirmed(notice []byte) bool {
	fields := notice[min(headerSize, len(notice)):]
	if !bytes.Contains(fields, []byte("\x00R"+unconfirmed+"\x00")) {
		return false
	}
	notice[0] = errorResponse
	for len(fields) > 1 && fields[0] != 0 { // each is a kind, a text and a zero
		end := bytes.IndexByte(fields, 0)
		if end < 0 {
			break
		}
		if fields[0] == 'C' && end == 1+len(completionUnknown) {
			copy(fields[1:], completionUnknown)
		}
		fields = fields[end+1:]
	}
	return true
}
