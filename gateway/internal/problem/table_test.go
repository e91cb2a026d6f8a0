package problem_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/problem"
)

// internal are the reasons that only services get, and those that every domain has
// and that the gateway derives from the code.
var internal = map[problem.Reason]bool{
	{Domain: "cart.souk", Reason: "INVALID"}: true,

	{Domain: "catalog.souk", Reason: "RESERVATION_NOT_FOUND"}:     true,
	{Domain: "catalog.souk", Reason: "RESERVATION_RELEASED"}:      true,
	{Domain: "catalog.souk", Reason: "RESERVATION_EXPIRED"}:       true,
	{Domain: "catalog.souk", Reason: "RESERVATION_MISMATCH"}:      true,
	{Domain: "catalog.souk", Reason: "RESERVATION_RETURNED"}:      true,
	{Domain: "catalog.souk", Reason: "RESERVATION_NOT_COMMITTED"}: true,
	{Domain: "catalog.souk", Reason: "RESTOCK_EXCEEDS_SOLD"}:      true,
	{Domain: "catalog.souk", Reason: "RESTOCK_MISMATCH"}:          true,

	{Domain: "payment.souk", Reason: "OUTCOME_UNKNOWN"}:          true,
	{Domain: "payment.souk", Reason: "PAYMENT_NOT_FOUND"}:        true,
	{Domain: "payment.souk", Reason: "PAYMENT_CANCELLED"}:        true,
	{Domain: "payment.souk", Reason: "PAYMENT_MISMATCH"}:         true,
	{Domain: "payment.souk", Reason: "PAYMENT_NOT_AUTHORIZED"}:   true,
	{Domain: "payment.souk", Reason: "AMOUNT_MISMATCH"}:          true,
	{Domain: "payment.souk", Reason: "PAYMENT_CAPTURED"}:         true,
	{Domain: "payment.souk", Reason: "PAYMENT_NOT_CAPTURED"}:     true,
	{Domain: "payment.souk", Reason: "REFUND_EXCEEDS_CAPTURE"}:   true,
	{Domain: "payment.souk", Reason: "REFUND_MISMATCH"}:          true,
	{Domain: "payment.souk", Reason: "PAYMENT_NOT_UNDER_REVIEW"}: true,
}

// reasonRule is a rule of a table of errors, with a reason as text or as the value
// of the contract's enum.
var reasonRule = regexp.MustCompile(`Reason:\s+(?:"|\w+\.ErrorReason_ERROR_REASON_)([A-Z_]+)`)

// Every reason in the error table of a service has a type of problem, or is
// internal to the services.
func TestReasonsOfServicesHaveTypes(t *testing.T) {
	t.Parallel()
	tables, err := filepath.Glob("../../../services/*/internal/rpc/errors.go")
	if err != nil || len(tables) < 4 {
		t.Fatalf("%d tables of errors, %v", len(tables), err)
	}
	for _, file := range tables {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		domain := filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(file)))) + ".souk"
		rules := reasonRule.FindAllSubmatch(source, -1)
		if len(rules) == 0 {
			t.Errorf("%s has no rules", file)
		}
		for _, rule := range rules {
			reason := problem.Reason{Domain: domain, Reason: string(rule[1])}
			switch known := problem.OfReason(reason) != nil; {
			case !known && !internal[reason]:
				t.Errorf("%v has no type", reason)
			case known && internal[reason]:
				t.Errorf("%v is internal and has a type", reason)
			}
		}
	}
}

// A type says what is wrong and what to do, and its slug names it alone.
func TestTypesAreExplained(t *testing.T) {
	t.Parallel()
	slugs := map[string]bool{}
	for _, p := range problem.All() {
		if p.Title == "" || p.Detail == "" || p.About == "" || http.StatusText(p.Status) == "" && p != problem.Canceled {
			t.Errorf("%s is not explained", p.Slug)
		}
		if slugs[p.Slug] {
			t.Errorf("%s is there twice", p.Slug)
		}
		slugs[p.Slug] = true
		if problem.Pages()[p.URI()] == nil {
			t.Errorf("%s has no page", p.Slug)
		}
	}
}
