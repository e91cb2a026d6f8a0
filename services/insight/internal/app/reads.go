package app

import (
	"context"
	"strings"
	"time"
	_ "time/tzdata" // images have no zones of their own
	"unicode/utf8"

	"github.com/souk-shop/souk/services/insight/internal/domain"
)

// Reads are the queries, of the generation that answers. Each returns until when the sources
// that it is made of are complete. Errors: domain.ErrNotReady.
type Reads interface {
	// Orders returns up to limit orders after a place, newest first.
	Orders(ctx context.Context, f OrderFilter, after Place, limit int) ([]domain.Order, time.Time, error)
	// Refunds returns up to limit refunds after a place, the last that was asked for first.
	Refunds(ctx context.Context, f RefundFilter, after Place, limit int) ([]ListedRefund, time.Time, error)
	// Sales returns the rows of a summary.
	Sales(ctx context.Context, q SalesQuery) ([]Sales, time.Time, error)
	// Funnel returns how far the orders of a period came.
	Funnel(ctx context.Context, p Period) (Funnel, time.Time, error)
	// RefundSums returns the refunds of a period by state and currency.
	RefundSums(ctx context.Context, p Period) ([]RefundSum, time.Time, error)
}

// Place is a place in a list: after the row with this time and id.
type Place struct {
	At time.Time
	ID string
}

// Beginning is the place before every row.
func Beginning() Place {
	return Place{At: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), ID: "ffffffff-ffff-ffff-ffff-ffffffffffff"}
}

// OrderFilter narrows a list; what is zero does not.
type OrderFilter struct {
	States                   []string
	PlacedFrom, PlacedBefore time.Time
	Number                   string // without regard to case
	CustomerIDs              []string
	SKU, ProductID           string
	Country, Currency        string
}

// RefundFilter is the same of refunds.
type RefundFilter struct {
	State                          string
	RequestedFrom, RequestedBefore time.Time
}

// Period is from From until before Before.
type Period struct{ From, Before time.Time }

// Dimension is by what sales are divided.
type Dimension int

// The dimensions.
const (
	ByHour Dimension = iota + 1
	ByDay
	BySKU
	ByProduct
	ByCountry
	ByCurrency
)

// SalesQuery asks for a summary.
type SalesQuery struct {
	Period Period
	By     Dimension
	// Zone is the name of a time zone.
	Zone string
	// Limit is of SKUs, products and countries.
	Limit int
}

// Sales is a row of a summary.
type Sales struct {
	Begin         time.Time // of ByHour and ByDay
	Key, Name     string
	Currency      string
	Orders, Units int64
	Gross         int64
	Refunded      int64
}

// Stage is a place that orders came to, and how long it took them from the one before.
type Stage struct {
	State       string
	Orders      int64
	Median, P90 time.Duration
}

// Funnel is how far orders came.
type Funnel struct {
	Stages    []Stage
	Cancelled []Cancelled
}

// Cancelled are orders that were given up.
type Cancelled struct {
	Reason string
	Orders int64
}

// ListedRefund is a refund with its order's number.
type ListedRefund struct {
	domain.Refund
	Number string
}

// RefundSum is a sum.
type RefundSum struct {
	State, Currency string
	Refunds, Amount int64
}

const (
	// defaultPage is the size of a page for which none is asked, defaultRows that of a summary.
	defaultPage = 20
	defaultRows = 100
	// maxPeriods bounds the hours or days of a summary.
	maxPeriods = 2_000
)

// App answers.
type App struct {
	reads  Reads
	models Models
}

// New returns the use cases.
func New(reads Reads, models Models) *App { return &App{reads: reads, models: models} }

// Orders returns a page of orders, and whether more follow.
func (a *App) Orders(ctx context.Context, f OrderFilter, after Place, size int) (page []domain.Order, more bool, asOf time.Time, err error) {
	for _, s := range []string{f.Number, f.SKU} {
		if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
			return nil, false, time.Time{}, domain.ErrText
		}
	}
	if size == 0 {
		size = defaultPage
	}
	rows, asOf, err := a.reads.Orders(ctx, f, after, size+1)
	return rows[:min(size, len(rows))], len(rows) > size, asOf, err
}

// Refunds returns a page of refunds, and whether more follow.
func (a *App) Refunds(ctx context.Context, f RefundFilter, after Place, size int) (page []ListedRefund, more bool, asOf time.Time, err error) {
	if size == 0 {
		size = defaultPage
	}
	rows, asOf, err := a.reads.Refunds(ctx, f, after, size+1)
	return rows[:min(size, len(rows))], len(rows) > size, asOf, err
}

// Sales returns a summary. Errors: domain.ErrTimeZone, domain.ErrTooManyPeriods.
func (a *App) Sales(ctx context.Context, q SalesQuery) ([]Sales, time.Time, error) {
	if q.Zone == "" {
		q.Zone = "UTC"
	}
	if _, err := time.LoadLocation(q.Zone); err != nil || q.Zone == "Local" {
		return nil, time.Time{}, domain.ErrTimeZone
	}
	if q.Limit == 0 {
		q.Limit = defaultRows
	}
	unit := map[Dimension]time.Duration{ByHour: time.Hour, ByDay: 24 * time.Hour}[q.By]
	if unit > 0 && q.Period.Before.Sub(q.Period.From) > maxPeriods*unit {
		return nil, time.Time{}, domain.ErrTooManyPeriods
	}
	return a.reads.Sales(ctx, q)
}

// Funnel returns how far the orders of a period came.
func (a *App) Funnel(ctx context.Context, p Period) (Funnel, time.Time, error) {
	return a.reads.Funnel(ctx, p)
}

// RefundSums returns the refunds of a period by state and currency.
func (a *App) RefundSums(ctx context.Context, p Period) ([]RefundSum, time.Time, error) {
	return a.reads.RefundSums(ctx, p)
}

// Model says how far the model is.
func (a *App) Model(ctx context.Context) (Model, []Progress, error) {
	m, err := a.models.Model(ctx)
	if err != nil {
		return Model{}, nil, err
	}
	p, err := a.models.Progress(ctx)
	return m, p, err
}

// Rebuild has a model made anew, and returns since when one is.
func (a *App) Rebuild(ctx context.Context) (time.Time, error) { return a.models.Begin(ctx) }
