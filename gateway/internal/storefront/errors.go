package storefront

import (
	"errors"
	"net/http"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

// pageError is an error of a page itself, in words for people.
type pageError struct {
	status        int
	title, detail string
}

func (e *pageError) Error() string { return e.title + ": " + e.detail }

var errNoPage = &pageError{status: http.StatusNotFound, title: "There is no such page", detail: "It may have moved, or the address has a slip of the pen."}

func badRequest(detail string) error {
	return &pageError{status: http.StatusBadRequest, title: "We didn't quite get that", detail: detail}
}

// refusals are the pages for what the edge refuses.
var refusals = map[*problem.Type]*pageError{
	problem.Internal: {
		status: http.StatusInternalServerError, title: headings[http.StatusInternalServerError], detail: details[problem.Internal],
	},
	problem.CrossOrigin: {
		status: http.StatusForbidden, title: "That came from somewhere else",
		detail: "Another site sent this in your name, so nothing was done. If it was you, please do it again from a page of the shop.",
	},
	problem.Busy: {
		status: http.StatusServiceUnavailable, title: headings[http.StatusServiceUnavailable],
		detail: "More is asked of it than it can do at once. Nothing is lost; please try again in a moment.",
	},
	problem.TooManyRequests: {
		status: http.StatusTooManyRequests, title: "One moment, please",
		detail: "More came from your address than one person clicks. Nothing is lost; please try again in a few seconds.",
	},
}

// Refuse answers with the page of an error, for the middleware around the storefront.
func (s *Storefront) Refuse(w http.ResponseWriter, r *http.Request, e *problem.Error) {
	var err error = e
	if refusal := refusals[e.Type]; refusal != nil {
		said := *refusal
		if e.Limit != "" {
			said.detail += " (The limit is called " + e.Limit + ".)"
		}
		err = &said
	}
	s.showError(w, r, err)
}

// errorPage is the view of error.html.
type errorPage struct {
	frame
	Status  int
	Heading string
	Detail  string
	Retry   string // address to try again; empty when that would not help
}

// statusOf is the status of a page for an error. Browsers get no status that only
// programs understand.
func statusOf(e *problem.Error) int {
	switch e.Type.Status {
	case http.StatusPreconditionFailed:
		return http.StatusConflict
	case http.StatusGatewayTimeout:
		return http.StatusServiceUnavailable
	}
	return e.Type.Status
}

// headings by status.
var headings = map[int]string{
	http.StatusBadRequest:                  "We didn't quite get that",
	http.StatusNotFound:                    "We can't find that",
	http.StatusConflict:                    "Something changed in between",
	http.StatusRequestEntityTooLarge:       "That is too much at once",
	http.StatusTooManyRequests:             "One moment, please",
	http.StatusRequestHeaderFieldsTooLarge: "That is too much at once",
	http.StatusUnprocessableEntity:         "That can't be done",
	http.StatusInternalServerError:         "Something went wrong on our side",
	http.StatusServiceUnavailable:          "The shop is catching its breath",
}

// details say it better than the service does, for people.
var details = map[*problem.Type]string{
	problem.ProductNotFound: "We don't have this product, or no longer.",
	problem.SKUNotFound:     "We don't have this product, or no longer.",
	problem.OrderNotFound:   "There is no such order of yours. Orders can be seen in the browser they were placed with.",
	problem.OrderArchived:   "This order is from long ago, and is kept in the shop's archive. Please write to the shop if you need something of it.",
	problem.InvalidCursor:   "This page of the list is no longer there. Please start from its first page.",
	problem.Overloaded:      "So many people want to buy that we can't serve all at once. Nothing is lost; please try again in a moment.",
	problem.Unavailable:     "A part of the shop is not answering just now. Nothing is lost; please try again in a moment.",
	problem.Timeout:         "The shop took too long to answer. Nothing is lost; please try again in a moment.",
	problem.Internal:        "We have made a note of it. Please try again in a moment.",
	problem.CartFull:        "A cart holds 2,000 different items at most.",
	problem.TotalTooLarge:   "This is more than can be paid at once. Please order in two parts.",
	problem.TotalTooSmall:   "This is less than the smallest payment that can be taken. Please add something.",
}

// showError turns an error into a page.
func (s *Storefront) showError(w http.ResponseWriter, r *http.Request, err error) {
	v := &errorPage{}
	var own *pageError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &own):
		v.Status, v.Heading, v.Detail = own.status, own.title, own.detail
	case errors.As(err, &large):
		v.Status, v.Detail = http.StatusRequestEntityTooLarge, "What was sent is larger than any form of this shop."
	default:
		e := problem.As(err)
		v.Status, v.Detail = statusOf(e), details[e.Type]
		if v.Detail == "" {
			v.Detail = e.Detail
		}
		switch {
		case e.Type == problem.Canceled:
			s.log.DebugContext(r.Context(), "the client went away", "error", err)
		case v.Status >= 500 && e.Type != problem.Overloaded: // which is no failure
			s.log.ErrorContext(r.Context(), "page failed", "path", edge.PathOf(r, false), "error", err)
		}
	}
	if v.Heading == "" {
		v.Heading = headings[v.Status]
	}
	if v.Status >= 500 || v.Status == http.StatusTooManyRequests {
		if w.Header().Get("Retry-After") == "" {
			w.Header().Set("Retry-After", "3")
		}
		if r.Method == http.MethodGet {
			v.Retry = r.URL.RequestURI()
		}
	}
	v.Title = v.Heading
	if wantsJSON(r) {
		sendJSON(w, v.Status, map[string]string{"error": v.Detail})
		return
	}
	if err := s.show(w, r, v.Status, "error", v); err != nil {
		s.log.ErrorContext(r.Context(), "the error page failed", "error", err)
		http.Error(w, "Something went wrong on our side.", http.StatusInternalServerError)
	}
}

// wantsJSON reports that the shop's own script asks, not a person.
func wantsJSON(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Accept"), "application/json")
}
