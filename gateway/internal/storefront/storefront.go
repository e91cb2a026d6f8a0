// Package storefront is the shop as people see it: server-rendered pages that
// work without a script, and one small script on top.
//
// Each page has a file with its handler and its view struct. Handlers return an
// error, and one place turns it into a page (errors.go). Templates and static
// files are embedded; templates are parsed once, at the start.
//
// The part of a page that is the same for everybody is rendered once and kept
// with the shop's cached value it shows (catalog.Memo), for a second and no longer than
// the value: a product page shows a product as the catalog package has it, with related
// products and category names up to one second older. It has nothing of the shopper, so that
// caches in front give it to everybody; the script puts the number on the cart, and without one
// it is on the shopper's own pages alone.
package storefront

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edgecache"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Catalog is what the pages need of the catalog.
type Catalog interface {
	ListProducts(ctx context.Context, q catalog.ProductQuery) (*catalog.ProductPage, error)
	Product(ctx context.Context, sku string) (*catalog.Product, error)
	Related(ctx context.Context, sku string, limit int) (*catalog.ProductPage, error)
	Categories(ctx context.Context) (*catalog.CategoryList, error)
	Codes(ctx context.Context, from string, limit int, yield func(code string, changed time.Time) error) error
	CodePages(ctx context.Context, size int) ([]string, error)
}

// Carts is what the pages need of the carts.
type Carts interface {
	NewCart(ctx context.Context, owner *accessv1.Viewer, lines []cart.LineInput) (*cart.Cart, error)
	Cart(ctx context.Context, owner *accessv1.Viewer, id uuid.UUID) (*cart.Cart, error)
	UnitsAfter(ctx context.Context, owner *accessv1.Viewer, id, order uuid.UUID, bought []cart.LineInput) (int64, error)
	SetLines(ctx context.Context, in cart.SetLines) (*cart.Cart, error)
	AddLine(ctx context.Context, in cart.AddLine) (*cart.Cart, error)
}

// Orders is what the pages need of the orders.
type Orders interface {
	PlaceOrder(ctx context.Context, c order.Checkout) (*order.Placed, error)
	Quote(ctx context.Context, v *accessv1.Viewer, cart uuid.UUID, shown string) (*order.Quote, error)
	Order(ctx context.Context, v *accessv1.Viewer, id uuid.UUID) (*order.Order, error)
	Orders(ctx context.Context, v *accessv1.Viewer, limit int, cursor string) (*order.Page, error)
	CancelOrder(ctx context.Context, v *accessv1.Viewer, id uuid.UUID) (*order.Order, error)
	EndSessions(ctx context.Context, v *accessv1.Viewer, customer uuid.UUID) (time.Time, error)
	WatchOrder(ctx context.Context, v *accessv1.Viewer, id uuid.UUID) iter.Seq2[*order.Order, error]
}

// Sessions makes guests and remembers them.
type Sessions interface {
	Ensure(ctx context.Context) (s auth.Shopper, fresh bool, err error)
	SetCookie(w http.ResponseWriter, r *http.Request, s auth.Shopper)
	NewShopper() (auth.Shopper, error)
	Continue(ctx context.Context, since time.Time)
	Forget(ctx context.Context)
}

// Config of the storefront.
type Config struct {
	Catalog Catalog
	Carts   Carts
	Orders  Orders
	Session Sessions
	// Operators look at the pages under /admin; nil for none.
	Operators Operators
	// Traces are the shop's recent traces; nil where it keeps none.
	Traces Traces
	// Metrics are dashboards of the shop's recent metrics; nil where it keeps none.
	Metrics Metrics
	// Draw draws the pictures; nil draws in this process.
	Draw Draw
	// Currency of the price filter; "" means GBP.
	Currency string
	// PaymentMethods offered at checkout; nil means the test cards of the
	// simulated provider.
	PaymentMethods []PaymentMethod
	// PublicURL is the address of the shop, such as https://shop.example; "" when it
	// is not known.
	PublicURL string
	// Policy has the attributes of cookies.
	Policy edge.BrowserPolicy
	// Edges marks what caches in front keep; nil has them ask each time.
	Edges *edgecache.Marker
	// Log gets errors that are ours. nil discards.
	Log *slog.Logger
}

// Storefront serves the pages.
type Storefront struct {
	catalog  Catalog
	carts    Carts
	orders   Orders
	session  Sessions
	admins   Operators
	traces   Traces
	metrics  Metrics
	currency string
	methods  []PaymentMethod
	policy   edge.BrowserPolicy
	log      *slog.Logger
	public   string
	edges    *edgecache.Marker

	pages    *pages
	static   *static
	pictures *pictures
	sitemaps *sitemaps
	mux      *http.ServeMux
}

// maxForm bounds a form's body: a cart of 2,000 lines fits, and the longest agreement.
const maxForm = 576 << 10

// New makes a Storefront. It expects auth.Manager.Identify and
// edge.SameOrigin in front of it.
func New(cfg Config) (*Storefront, error) {
	if cfg.Catalog == nil || cfg.Carts == nil || cfg.Orders == nil || cfg.Session == nil {
		return nil, errors.New("storefront: the catalog, the carts, the orders and the session are needed")
	}
	if cfg.Currency == "" {
		cfg.Currency = "GBP"
	}
	if cfg.PaymentMethods == nil {
		cfg.PaymentMethods = TestCards
	}
	if cfg.Draw == nil {
		cfg.Draw = func(_ context.Context, seed, words string) []byte { return picture.SVG(seed, words) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Storefront{
		catalog: cfg.Catalog, carts: cfg.Carts, orders: cfg.Orders, session: cfg.Session, admins: cfg.Operators, traces: cfg.Traces, metrics: cfg.Metrics, currency: cfg.Currency, methods: cfg.PaymentMethods, policy: cfg.Policy, edges: cfg.Edges, log: cfg.Log,
		mux: http.NewServeMux(),
	}
	var err error
	if s.public, err = publicURL(cfg.PublicURL); err != nil {
		return nil, err
	}
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return nil, err
	}
	if s.static, err = newStatic(files); err != nil {
		return nil, err
	}
	if s.pages, err = newPages(s.static, s.public); err != nil {
		return nil, err
	}
	s.pictures = newPictures(pictureCacheBytes, cfg.Draw)
	s.sitemaps = newSitemaps()
	s.routes()
	small, err := s.smallFiles()
	if err != nil {
		return nil, err
	}
	for path, f := range small {
		s.mux.HandleFunc("GET "+path, f.serveFile)
	}
	return s, nil
}

func (s *Storefront) routes() {
	s.mux.Handle("GET /static/{file}", s.static)
	s.page("GET /pictures/{file}", s.servePicture)
	s.page("GET /pictures/categories/{file}", s.serveCategoryPicture)
	s.page("GET /{$}", s.serveHome)
	s.page("GET /products", s.serveListing)
	s.page("GET /categories/{slug}", s.serveListing)
	s.page("GET /sitemap.xml", s.serveSitemap)
	s.page("GET /sitemap-pages.xml", s.serveSitemap)
	s.page("GET /sitemap-products.xml", s.serveSitemap)
	s.page("GET /search", s.redirectSearch)
	s.page("GET /products/{sku}", s.serveProduct)
	s.page("GET /cart", s.serveCart)
	s.page("POST /cart", s.updateCart)
	s.page("POST /cart/lines", s.addToCart)
	s.page("GET /checkout", s.serveCheckout)
	s.page("POST /checkout", s.placeOrder)
	s.page("POST /session/new", s.newSession)
	s.page("POST /session/end", s.endSession)
	s.page("GET /orders", s.serveOrders)
	s.page("GET /orders/{id}", s.serveOrder)
	s.page("GET /orders/{id}/events", s.serveOrderEvents)
	s.page("POST /orders/{id}/cancel", s.cancelOrder)
	s.page("GET /admin", s.serveAdmin)
	s.page("GET /admin/sign-in", s.serveSignIn)
	s.page("POST /admin/sign-in", s.signIn)
	s.page("POST /admin/sign-out", s.signOut)
	s.page("GET /admin/metrics", s.serveMetrics)
	s.page("GET /admin/metrics/{dashboard}", s.serveMetrics)
	s.page("GET /admin/traces", s.serveTraces)
	s.page("GET /admin/traces/{id}", s.serveTrace)
	s.page("/", s.serveElse)
}

// page registers a handler whose error becomes a page.
func (s *Storefront) page(pattern string, h func(http.ResponseWriter, *http.Request) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		telemetry.Profiled(pattern)
		if err := h(w, r); err != nil {
			if problem.Is(err, problem.SessionEnded) {
				err = errEnded
			}
			s.showError(w, r, err)
		}
	})
}

func (s *Storefront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	s.mux.ServeHTTP(w, r)
}

// serveElse answers what no page does.
func (s *Storefront) serveElse(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		// The address of a form, typed or reloaded.
		if r.URL.Path == "/cart/lines" {
			http.Redirect(w, r, "/cart", http.StatusSeeOther)
			return nil
		}
		if s.redirectSpelling(w, r) {
			return nil
		}
		return errNoPage
	case http.MethodPost:
		return errNoPage
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, POST, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		w.Header().Set("Allow", "GET, HEAD, POST, OPTIONS")
		return &pageError{status: http.StatusMethodNotAllowed, title: "That can't be done here", detail: "This address doesn't understand that kind of request."}
	}
}
