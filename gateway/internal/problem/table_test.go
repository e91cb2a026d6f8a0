package problem_test

import (
	"net/http"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/proto/reason"
)

// What only services see is no type of problem; everything else is one.
func TestReasonsHaveTypes(t *testing.T) {
	t.Parallel()
	for _, r := range reason.All() {
		p := problem.OfReason(r.Key)
		if (p == nil) != r.Internal {
			t.Errorf("%v: internal %v, type %v", r.Key, r.Internal, p)
		}
		if p != nil && (p.Status != r.HTTPStatus || p.Title != r.Title) {
			t.Errorf("%v is %+v", r.Key, p)
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
