// Package audit reads what operators did, of the logs of all services.
package audit

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	auditv1 "github.com/souk-shop/souk/proto/gen/souk/audit/v1"
)

// Client has the RPC of a service that this package calls.
type Client interface {
	ListEntries(context.Context, *auditv1.ListEntriesRequest, ...grpc.CallOption) (*auditv1.ListEntriesResponse, error)
}

// Log has the use case. Safe for concurrent use.
type Log struct {
	clients map[string]Client // by the service's name
	caller  *client.Caller
}

// New makes a Log of the services' logs, by the service's name.
func New[C Client](clients map[string]C, caller *client.Caller) *Log {
	l := &Log{clients: map[string]Client{}, caller: caller}
	for name, c := range clients {
		l.clients[name] = c
	}
	return l
}

// Entry is an action of an operator.
type Entry struct {
	Service, Operator, Caller string
	// Action is the method's name.
	Action, Object string
	// Before and After are JSON, "" for nothing.
	Before, After string
	Request, Hash string
	Sequence      int64
	At            time.Time
}

// Filter narrows a list; zero fields do not.
type Filter struct {
	Service, Operator, Action string
	From, Before              time.Time
}

// defaultPage is how many entries a page has where the request does not say.
const defaultPage = 20

// List returns a page of entries, newest first, and the cursor of the next, "" on the last.
// Where the log of a service cannot be read there is no page: it would look like one on
// which nothing is missing. Problems: InvalidCursor, RequestInvalid.
func (l *Log) List(ctx context.Context, v *accessv1.Viewer, f Filter, limit int, cursor string) (page []Entry, next string, err error) {
	limit = cmp.Or(limit, defaultPage)
	from, err := l.positions(f.Service, cursor)
	if err != nil {
		return nil, "", err
	}
	services := slices.Sorted(maps.Keys(from))
	logs := make([]*auditv1.ListEntriesResponse, len(services))
	for i, service := range services {
		req := &auditv1.ListEntriesRequest{
			Viewer: v, Operator: f.Operator, Action: f.Action, BeforeSequence: from[service], PageSize: int32(limit),
		}
		if !f.From.IsZero() {
			req.From = timestamppb.New(f.From)
		}
		if !f.Before.IsZero() {
			req.Until = timestamppb.New(f.Before)
		}
		if logs[i], err = client.Call(ctx, l.caller, 0, l.clients[service].ListEntries, req); err != nil {
			return nil, "", err
		}
	}
	page, to := merge(services, logs, limit)
	return page, encode(to), nil
}

// merge takes the newest entries of logs, each of which is in its own order, and says for
// those with more before which of their entries they go on.
func merge(services []string, logs []*auditv1.ListEntriesResponse, limit int) (page []Entry, to map[string]int64) {
	taken := make([]int, len(logs))
	for len(page) < limit {
		newest := -1
		for i, log := range logs {
			if taken[i] == len(log.GetEntries()) {
				continue
			}
			if newest < 0 || log.GetEntries()[taken[i]].GetAt().AsTime().After(logs[newest].GetEntries()[taken[newest]].GetAt().AsTime()) {
				newest = i
			}
		}
		if newest < 0 {
			break
		}
		page = append(page, fromProto(services[newest], logs[newest].GetEntries()[taken[newest]]))
		taken[newest]++
	}
	to = map[string]int64{}
	for i, log := range logs {
		switch entries := log.GetEntries(); {
		case len(entries) == 0, taken[i] == len(entries) && !log.GetMore():
		case taken[i] == 0: // what is written from now on is of no later page
			to[services[i]] = entries[0].GetSequence() + 1
		default:
			to[services[i]] = entries[taken[i]-1].GetSequence()
		}
	}
	return page, to
}

func fromProto(service string, e *auditv1.Entry) Entry {
	return Entry{
		Service: service, Sequence: e.GetSequence(), At: e.GetAt().AsTime(), Operator: e.GetOperator(), Caller: e.GetCaller(),
		Action: e.GetAction()[strings.LastIndexByte(e.GetAction(), '/')+1:], Object: e.GetObject(), Before: e.GetBefore(), After: e.GetAfter(),
		Request: e.GetRequest(), Hash: hex.EncodeToString(e.GetHash()),
	}
}

// positions are the services to ask, with the number that is before their first entry's; 0
// begins with the newest.
func (l *Log) positions(service, cursor string) (map[string]int64, error) {
	from := map[string]int64{}
	for name := range l.clients {
		from[name] = 0
	}
	if service != "" {
		known := slices.Sorted(maps.Keys(from))
		maps.DeleteFunc(from, func(name string, _ int64) bool {
			return name != service && !strings.HasPrefix(name, service+"-") // "order" has the cells order-c1, order-c2
		})
		if len(from) == 0 {
			return nil, problem.Invalid(problem.Field{Field: "service", Detail: "is none of " + strings.Join(known, ", ")})
		}
	}
	if cursor == "" {
		return from, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, problem.New(problem.InvalidCursor)
	}
	to := map[string]int64{}
	for part := range strings.SplitSeq(string(text), ",") {
		name, number, _ := strings.Cut(part, ".")
		n, err := strconv.ParseInt(number, 10, 64)
		if _, asked := from[name]; !asked || err != nil || n <= 0 || to[name] != 0 {
			return nil, problem.New(problem.InvalidCursor)
		}
		to[name] = n
	}
	return to, nil
}

// encode is a cursor of where each log goes on; "" where none does.
func encode(to map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(to)) {
		parts = append(parts, name+"."+strconv.FormatInt(to[name], 10))
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, ",")))
}
