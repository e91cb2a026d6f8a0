// Package audittest tests that every action of an operator has its entry in the audit log.
package audittest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/audit"
)

// Operator is the viewer of the actions of a test.
func Operator() *accessv1.Viewer {
	return access.Operator("ada")
}

// reading are how the names of methods that change nothing begin.
var reading = []string{"Find", "Get", "List", "Watch", "Quote", "Summarize"}

// Actions are the full methods of a service with which an operator can change something, by
// the contract.
func Actions(service protoreflect.ServiceDescriptor) (actions []string) {
	for i := range service.Methods().Len() {
		m := service.Methods().Get(i)
		rule, _ := proto.GetExtension(m.Options(), accessv1.E_Rule).(*accessv1.Rule)
		reads := slices.ContainsFunc(reading, func(verb string) bool { return strings.HasPrefix(string(m.Name()), verb) })
		if slices.Contains(rule.GetViewers(), accessv1.ViewerKind_VIEWER_KIND_OPERATOR) && !reads {
			actions = append(actions, "/"+string(service.FullName())+"/"+string(m.Name()))
		}
	}
	return actions
}

// Case is an action of an operator.
type Case struct {
	// Name is what is special about it, "" for nothing.
	Name string
	// Method is the method's own name.
	Method string
	// Do calls it. It is called twice where it can be repeated: the repeat has no entry.
	Do     func() error
	Repeat bool
	// Object, Before and After are those of the entry.
	Object, Before, After string
}

// digest is a SHA-256: "DIGEST" in a Case.
var digest = regexp.MustCompile("[0-9a-f]{64}")

// UUID is what a Case has where the entry's may be any.
const UUID = "UUID"

var uuids = regexp.MustCompile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

// times are those of the database's clock: "TIME" in a Case.
var times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z`)

// is compares a text of an entry with that of a Case.
func is(got, want string) bool {
	got = digest.ReplaceAllString(got, "DIGEST")
	got = times.ReplaceAllString(got, "TIME")
	return got == want || uuids.ReplaceAllString(got, UUID) == want
}

// Run performs the cases in turn, on a service's database, and fails unless each has
// exactly one entry, and each action of the contract a case.
func Run(t *testing.T, dsn string, service protoreflect.ServiceDescriptor, cases []Case) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	covered := map[string]bool{}
	before := entries(t, db)
	for _, c := range cases {
		method := "/" + string(service.FullName()) + "/" + c.Method
		covered[method] = true
		if err := c.Do(); err != nil {
			t.Fatalf("%s %s: %v", c.Method, c.Name, err)
		}
		if c.Repeat {
			if err := c.Do(); err != nil {
				t.Fatalf("%s %s, repeated: %v", c.Method, c.Name, err)
			}
		}
		after := entries(t, db)
		if len(after) != len(before)+1 {
			t.Errorf("%s %s: %d entries", c.Method, c.Name, len(after)-len(before))
			before = after
			continue
		}
		before = after
		e := after[len(after)-1]
		if e.Operator != "ada" || e.Action != method || !is(e.Object, c.Object) || !is(e.Before, c.Before) || !is(e.After, c.After) {
			t.Errorf("%s %s: entry\n%s %s %q\n%s\n%s\nwant %q\n%s\n%s", c.Method, c.Name, e.Operator, e.Action, e.Object, e.Before, e.After, c.Object, c.Before, c.After)
		}
	}
	for _, action := range Actions(service) {
		if !covered[action] {
			t.Errorf("an operator can call %s, which has no case here", action)
		}
	}
	v, err := audit.Verify(t.Context(), db, audit.Expected{})
	if err != nil || v.Fault != nil {
		t.Errorf("the chain: %+v, %v", v.Fault, err)
	}
}

func entries(t *testing.T, db *pgx.Conn) (all []audit.Entry) {
	t.Helper()
	err := audit.Read(t.Context(), db, audit.Entry{}.At, func(e *audit.Entry) error { all = append(all, *e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all
}
