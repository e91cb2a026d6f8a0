package storefront

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/gateway/traces"
)

// Operators know who operates the shop with a browser.
type Operators interface {
	// SignIn takes a token and sets the cookie; without an operator, the sentence says why.
	SignIn(w http.ResponseWriter, r *http.Request, token string) (*auth.Operator, string)
	// SignedIn is the operator of a request, nil for none.
	SignedIn(r *http.Request) *auth.Operator
	SignOut(w http.ResponseWriter, r *http.Request)
	// MayLook reports whether the operator may see a page, and records a refusal.
	MayLook(r *http.Request, op *auth.Operator, scope operators.Scope, page string) bool
}

// Traces are the shop's recent traces.
type Traces interface {
	List(ctx context.Context, q traces.Query) (*traces.List, error)
	Trace(ctx context.Context, id string) (*traces.Trace, error)
}

// Metrics are dashboards of the shop's recent metrics.
type Metrics interface {
	Dashboard(ctx context.Context, id string, q metrics.Query) (*metrics.Dashboard, error)
}

// The pages of operators.
const (
	signInPath  = "/admin/sign-in"
	tracesPath  = "/admin/traces"
	metricsPath = "/admin/metrics"
)

// signInPage is the view of signin.html.
type signInPage struct {
	frame
	Next    string // where it leads, a page of operators
	Problem string
	Notice  string
}

// signedIn is the operator of a request, nil for none.
func (s *Storefront) signedIn(r *http.Request) *auth.Operator {
	if s.admins == nil {
		return nil
	}
	return s.admins.SignedIn(r)
}

// operator is who may see a page of operators. With nil and no error the browser was sent to sign in.
func (s *Storefront) operator(w http.ResponseWriter, r *http.Request, scope operators.Scope, page string) (*auth.Operator, error) {
	op := s.signedIn(r)
	if op == nil {
		http.Redirect(w, r, signInPath+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return nil, nil
	}
	if !s.admins.MayLook(r, op, scope, page) {
		return nil, &pageError{
			status: http.StatusForbidden, title: "Your token does not reach this far",
			detail: "This page needs the scope " + scope.String() + ", which the token of " + op.Name + " lacks. Sign out at /admin/sign-in to use another.",
		}
	}
	return op, nil
}

// serveAdmin leads to the first page that the operator may see.
func (s *Storefront) serveAdmin(w http.ResponseWriter, r *http.Request) error {
	first := tracesPath
	if op := s.signedIn(r); op.Has(operators.Read) && !op.Has(operators.Orders) {
		first = metricsPath
	}
	http.Redirect(w, r, first, http.StatusSeeOther)
	return nil
}

// pageOfOperators is the path of a list, or of one thing in it by its name, which is plain.
var pageOfOperators = regexp.MustCompile(`^(` + tracesPath + `|` + metricsPath + `)(/[0-9A-Za-z_-]{1,64})?$`)

// nextPage is where a sign-in leads: to a page of operators and nowhere else.
func nextPage(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !pageOfOperators.MatchString(u.Path) || strings.ContainsAny(text, "\\\r\n\t") {
		return tracesPath
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

func (s *Storefront) serveSignIn(w http.ResponseWriter, r *http.Request) error {
	v := &signInPage{frame: frame{Title: "Sign in as an operator"}, Next: nextPage(r.URL.Query().Get("next"))}
	if r.URL.Query().Has("out") {
		v.Notice = "You are signed out."
	}
	if op := s.signedIn(r); op != nil {
		v.Notice = "You are signed in as " + op.Name + ". Another token takes this one's place."
	}
	return s.show(w, r, http.StatusOK, "signin", v)
}

// signIn takes an operator's token.
func (s *Storefront) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return badRequest("The form did not arrive whole. Please send it again.")
	}
	next, token := nextPage(r.PostForm.Get("next")), strings.TrimSpace(r.PostForm.Get("token"))
	why := "Please give the token; souk operator add makes one."
	if token != "" && s.admins != nil {
		var op *auth.Operator
		if op, why = s.admins.SignIn(w, r, token); op != nil {
			http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // nextPage makes it of a path
			return nil
		}
	}
	v := &signInPage{frame: frame{Title: "Sign in as an operator", Failed: true}, Next: next, Problem: why}
	return s.show(w, r, http.StatusUnprocessableEntity, "signin", v)
}

func (s *Storefront) signOut(w http.ResponseWriter, r *http.Request) error {
	if s.admins != nil {
		s.admins.SignOut(w, r)
	}
	http.Redirect(w, r, signInPath+"?out=1", http.StatusSeeOther)
	return nil
}
