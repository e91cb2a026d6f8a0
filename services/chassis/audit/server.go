package audit

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	auditv1 "github.com/souk-shop/souk/proto/gen/souk/audit/v1"
	"github.com/souk-shop/souk/services/chassis/pg"
)

// Server implements auditv1.AuditServiceServer.
type Server struct {
	auditv1.UnimplementedAuditServiceServer
	db pg.DB
}

// NewServer returns a server that reads the log in a database.
func NewServer(pool *pgxpool.Pool) *Server { return &Server{db: pg.DB{Pool: pool}} }

// listPage is how many entries a page has where the request asks for none.
const listPage = 20

const list = `
SELECT sequence, at, operator, caller, action, object, before, after, request, hash
FROM souk_audit_list(p_before => $1, p_operator => $2, p_action => $3, p_from => $4, p_until => $5, p_most => $6)`

// ListEntries implements auditv1.AuditServiceServer.
func (s *Server) ListEntries(ctx context.Context, req *auditv1.ListEntriesRequest) (*auditv1.ListEntriesResponse, error) {
	size := int(cmp.Or(req.GetPageSize(), listPage))
	rows, err := s.db.Query(ctx, list, req.GetBeforeSequence(), req.GetOperator(), req.GetAction(), bound(req.GetFrom()), bound(req.GetUntil()), size+1)
	if err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	defer rows.Close()
	resp := &auditv1.ListEntriesResponse{}
	for rows.Next() {
		if len(resp.GetEntries()) == size {
			resp.More = true
			break
		}
		var e auditv1.Entry
		var at time.Time
		if err := rows.Scan(&e.Sequence, &at, &e.Operator, &e.Caller, &e.Action, &e.Object, &e.Before, &e.After, &e.Request, &e.Hash); err != nil {
			return nil, fmt.Errorf("list the audit log: %w", err)
		}
		e.At = timestamppb.New(at)
		resp.Entries = append(resp.Entries, &e)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	return resp, nil
}

// bound is a time that may be unset.
func bound(t *timestamppb.Timestamp) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t.AsTime(), Valid: t != nil}
}
