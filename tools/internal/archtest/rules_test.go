package archtest

// The table names packages by their path in the repository ("services/order"),
// standard packages with "std:" in front, others by their import path. Patterns are
// regular expressions for the whole name; {service} and {layer} stand for what the
// group of that name in From matched.
const (
	own      = `(proto|services|gateway|tools|helm)/.*`
	river    = `github\.com/riverqueue/.*`
	pgx      = `github\.com/jackc/pgx/.*`
	grpc     = `google\.golang\.org/grpc.*`
	contract = `proto/gen/.*`
	others   = `[^/]+\.[^/]+/.*` // other people's modules
)

// A rule says what the packages that From matches may import.
type rule struct {
	name string
	from string
	// but leaves out packages that from matches.
	but []string
	// only lists all that they may import, not what they may not.
	only, not []string
	// tests has the rule hold for test files, too.
	tests bool
	// broken is an import that breaks the rule: the table's own test.
	broken [2]string
}

var rules = []rule{
	{
		name: "a domain is pure",
		from: `services/(?P<service>\w+)/internal/domain(/.*)?`, but: []string{`services/chassis/.*`},
		only:   []string{`std:.*`, `proto/(money|contact)`, `golang\.org/x/text/.*`, `services/{service}/internal/domain(/.*)?`}, // x/text is Unicode's rules
		broken: [2]string{"services/parcel/internal/domain", "services/chassis/pg"},
	},
	{
		name:   "a domain speaks no protocol, knows no database and writes no log",
		from:   `services/\w+/internal/domain(/.*)?`,
		not:    []string{`std:net/http`, `std:database/sql`, `std:log/slog`},
		broken: [2]string{"services/parcel/internal/domain", "std:net/http"},
	},
	{
		name:   "use cases know no transport, no database, no queue and no message of the contract",
		from:   `services/(?P<service>\w+)/internal/app(/.*)?`,
		but:    []string{`.*test`},
		not:    []string{grpc, pgx, river, contract, `services/chassis/(pg|jobs|rpc|service)(/.*)?`, `github\.com/redis/.*`},
		broken: [2]string{"services/parcel/internal/app", "google.golang.org/grpc/codes"},
	},
	{
		name: "a use case imports no adapter",
		from: `services/(?P<service>\w+)/internal/app(/.*)?`,
		// Of the service itself: its use cases and its domain.
		only:   []string{`std:.*`, others, `proto/.*`, `services/chassis/.*`, `services/{service}/internal/(app|domain)(/.*)?`},
		broken: [2]string{"services/parcel/internal/app", "services/parcel/internal/postgres"},
	},
	{
		name: "adapters import use cases and the domain, never each other",
		from: `services/(?P<service>\w+)/internal/(?P<layer>\w+)(/.*)?`, but: []string{`services/\w+/internal/(domain|app)(/.*)?`, `.*test`},
		only: []string{
			`std:.*`, others, `proto/.*`, `services/chassis/.*`,
			`services/{service}/internal/(app|domain|{layer})(/.*)?`,
		},
		broken: [2]string{"services/parcel/internal/rpc", "services/parcel/internal/postgres"},
	},
	{
		name: "no service imports another",
		from: `services/(?P<service>\w+)(/.*)?`, but: []string{`services/chassis/.*`}, tests: true,
		only: []string{
			`std:.*`, others, `proto/.*`, `services/(chassis|{service})(/.*)?`,
		},
		broken: [2]string{"services/parcel/internal/rpc", "services/order"},
	},
	{
		name:   "the chassis has no domain word",
		from:   `services/chassis/.*`,
		only:   []string{`std:.*`, others, `proto/gen/souk/(error|answer|access|audit|cell|event)/.*`, `proto/reason`, `services/chassis/.*`},
		broken: [2]string{"services/chassis/rpc", "proto/gen/souk/order/v1"},
	},
	{
		name: "what is for tests is imported by tests",
		from: `(services|gateway)/.*`, but: []string{`.*test`},
		not:    []string{`(services|gateway)/.*test`, `std:testing`},
		broken: [2]string{"services/order/internal/app", "services/order/internal/app/apptest"},
	},
	{
		name: "River has one door, and workers",
		from: `.*`, but: []string{`services/chassis/jobs`, `services/\w+/internal/jobs(/.*)?`},
		not:    []string{river},
		broken: [2]string{"services/parcel/internal/postgres", "github.com/riverqueue/river"},
	},
	{
		name: "the gateway knows the contract and the chassis",
		from: `gateway(/.*)?`, tests: true,
		only:   []string{`std:.*`, others, `proto/.*`, `services/chassis/.*`, `gateway(/.*)?`},
		broken: [2]string{"gateway/internal/shop", "services/order"},
	},
	{
		name:   "the gateway has no database",
		from:   `gateway(/.*)?`,
		not:    []string{pgx, `services/chassis/(pg|jobs|service)(/.*)?`},
		broken: [2]string{"gateway", "github.com/jackc/pgx/v5"},
	},
	{
		name: "the contract imports nothing of the shop",
		from: `proto/.*`, tests: true,
		only:   []string{`std:.*`, others, `proto/.*`},
		broken: [2]string{"proto/money", "services/chassis/rpc"},
	},
	{
		name: "tools are never shipped",
		from: own, but: []string{`tools/.*`}, tests: true,
		not:    []string{`tools/.*`},
		broken: [2]string{"helm/charts", "tools/souk"},
	},
}
