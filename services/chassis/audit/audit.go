// Package audit keeps in a service's database what operators did: an append-only log
// whose entries are chained by hashes, so that a change of what was written is found.
// An entry is written in the transaction of what it tells of: there is none without the
// other. docs/audit.md says what that protects against.
package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg"
)

//go:embed migrations/*.sql grants.sql
var migrations embed.FS

var schema = pg.Schema{Table: "souk_audit_version", Migrations: migrations}

var (
	// Migrate brings the log to the schema of this version. Replicas may run it at once.
	Migrate = schema.Migrate
	// Migrated returns pg.ErrNotMigrated until the log is at the schema of this version.
	Migrated = schema.Migrated
)

// Actor is an operator in a call.
type Actor struct {
	// Operator is the operator's name.
	Operator string
	// Caller is the part that called; "" where certificates are not checked.
	Caller string
	// Action is the full method.
	Action string
	// Request is the trace's id, or "".
	Request string
}

// call is what a call's context carries.
type call struct {
	actor Actor
	// last is the call's entry. A transaction that is run again overwrites it.
	last   Head
	object string
}

type key struct{}

// As returns a context in which an operator acts.
func As(ctx context.Context, actor Actor) context.Context {
	return context.WithValue(ctx, key{}, &call{actor: actor})
}

// Acting reports whether an operator acts.
func Acting(ctx context.Context) bool {
	_, ok := ctx.Value(key{}).(*call)
	return ok
}

// Interceptor has calls act for the operator that their request names as the viewer.
// After one that appended an entry it logs the entry's hash: what a log elsewhere has
// seen cannot be taken out of the table unnoticed, not even as its last line.
func Interceptor(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		operator := operatorOf(req)
		if operator == "" && customers(req) && audited(info.FullMethod) {
			operator = Customer
		}
		if operator == "" {
			return handler(ctx, req)
		}
		actor := Actor{Operator: operator, Caller: identity.Caller(ctx), Action: info.FullMethod}
		if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
			actor.Request = sc.TraceID().String()
		}
		acting := As(ctx, actor)
		resp, err := handler(acting, req)
		if c := acting.Value(key{}).(*call); err == nil && c.last.Sequence > 0 { //nolint:forcetypeassert // As put it there
			log.InfoContext(ctx, "audit entry", "operator", operator, "action", actor.Action, "object", c.object,
				"chain", c.last.Chain, "sequence", c.last.Sequence, "hash", hex.EncodeToString(c.last.Hash))
		}
		return resp, err
	}
}

// Customer stands for the customer themselves where what they ask for is in the log: the
// object says whom it is about. No operator has such a name.
const Customer = "(customer)"

// audited reports that the contract has calls for customers in the log, too.
func audited(method string) bool {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")))
	if err != nil {
		return false // no method of the contract
	}
	rule, _ := proto.GetExtension(d.Options(), accessv1.E_Rule).(*accessv1.Rule)
	return rule.GetAudited()
}

// operatorOf is the name of the operator for whom a request is made, "" for others.
func operatorOf(req any) string {
	r, ok := req.(interface{ GetViewer() *accessv1.Viewer })
	if !ok {
		return ""
	}
	return r.GetViewer().GetOperator().GetName()
}

// customers reports that a request is made for a customer.
func customers(req any) bool {
	r, ok := req.(interface{ GetViewer() *accessv1.Viewer })
	return ok && r.GetViewer().GetCustomer() != nil
}

// Change is what an action changed.
type Change struct {
	// Object names what was changed, such as "product LAMP".
	Object string
	// Before and After are what it was and is, as far as it differs; nil for what was
	// or is not there. They are written as JSON. Nothing in them is about a customer.
	Before, After any
}

// Commit returns what stands in an entry for a text that people wrote, which may name a
// person and must be erasable: SHA-256 of a random salt and the text. Text and salt are kept
// beside what they are about. Together they show that the text is the one; when both are
// erased an attacker cannot find the text by trying. An empty text has neither.
func Commit(text string) (salt []byte, digest string) {
	if text == "" {
		return nil, ""
	}
	salt = make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	sum := sha256.Sum256(append(slices.Clone(salt), text...))
	return salt, hex.EncodeToString(sum[:])
}

// Querier is a transaction.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const appendEntry = `
SELECT o_chain::text, o_sequence, o_hash, o_at
FROM souk_audit_append(p_operator => $1, p_caller => $2, p_action => $3, p_object => $4, p_before => $5, p_after => $6, p_request => $7)`

// Append writes an entry in a transaction, if an operator acts. From then on other
// operators' actions wait for the transaction's end, so it comes last.
func Append(ctx context.Context, tx Querier, c Change) error {
	acting, ok := ctx.Value(key{}).(*call)
	if !ok {
		return nil
	}
	if c.Object == "" {
		return errors.New("audit: a change of nothing")
	}
	before, err := encode(c.Before)
	if err != nil {
		return err
	}
	after, err := encode(c.After)
	if err != nil {
		return err
	}
	a := acting.actor
	var head Head
	err = tx.QueryRow(ctx, appendEntry, a.Operator, a.Caller, a.Action, c.Object, before, after, a.Request).
		Scan(&head.Chain, &head.Sequence, &head.Hash, &head.At)
	if err != nil {
		return fmt.Errorf("append to the audit log: %w", err)
	}
	acting.last, acting.object = head, c.Object
	return nil
}

// Head is an entry of a chain by its hash: the last one, or an anchor, which is what
// was the last one.
type Head struct {
	Chain    string
	Sequence int64
	Hash     []byte
	At       time.Time
}
