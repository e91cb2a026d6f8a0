package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// curve measures checkouts by how many buyers there are, in shops of several sizes.
type curve struct {
	buyers   []int
	products []int
	orders   []int
	time     time.Duration
	progress io.Writer
}

// CurvePoint is what so many buyers got, who each begin a checkout when the one before is paid.
type CurvePoint struct {
	Products int `json:"products"`
	Orders   int `json:"orders"`
	Buyers   int `json:"buyers"`
	// PerSecond is goodput: orders of one line that were paid. P50Millis and P99Millis are from the
	// buyer's first call until it knows that the order is paid, refusals and pauses included.
	PerSecond float64 `json:"per_second"`
	P50Millis float64 `json:"p50_ms"`
	P99Millis float64 `json:"p99_ms"`
	// Refused are calls that the shop asked to be repeated later.
	Refused int64 `json:"refused"`
}

// goodputKept is the least share of the best goodput of a shop that more buyers leave.
const goodputKept = 0.8

func curveCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench curve", `usage: souk bench curve [flags]

Measures checkouts of one line with few and with many buyers, in shops that have few and
many products, and few and many orders behind them: the first number of --products and of
--orders is the one of the other shops. Each buyer has an address of its own, begins the
next checkout when the one before is paid, and comes again when it is refused, as late as
it is asked to. It fails when more buyers leave a shop less than 80% of its best goodput.
--svg draws goodput and p99.

  souk bench curve --orders 1000,500000 --svg curve.svg

Products and orders are made up: 200,000 products take 7 minutes and 1 GB, a million orders
3 minutes and 10 GB.

`, stderr)
	c := &curve{progress: stderr}
	buyers := flags.String("buyers", "1,16,64,256", "`numbers` of buyers")
	products := flags.String("products", "3000,200000", "`numbers` of products")
	orders := flags.String("orders", "1000,100000", "`numbers` of orders")
	flags.DurationVar(&c.time, "time", 20*time.Second, "how long so many buyers buy")
	svg := flags.String("svg", "", "draw into this `file`")
	asJSON := flags.Bool("json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, list := range []struct {
		name, text string
		most       int
		into       *[]int
	}{{"--buyers", *buyers, 1000, &c.buyers}, {"--products", *products, 10_000_000, &c.products}, {"--orders", *orders, 100_000_000, &c.orders}} {
		for text := range strings.SplitSeq(list.text, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil || n < 1 || n > list.most {
				return fmt.Errorf("%s: %q is no number from 1 to %d", list.name, text, list.most)
			}
			*list.into = append(*list.into, n)
		}
		if !slices.IsSorted(*list.into) {
			return fmt.Errorf("%s: the numbers must increase", list.name)
		}
	}
	if flags.NArg() != 0 || c.time <= 0 {
		flags.Usage()
		return errors.New("bench curve takes no arguments, and its time must be positive")
	}
	dir, err := os.MkdirTemp("", "souk-curve-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	points, err := c.run(ctx, dir)
	if err != nil {
		return err
	}
	if *svg != "" {
		if err := drawCurves(*svg, points); err != nil {
			return err
		}
	}
	return conclude(stdout, *asJSON, points, func(w io.Writer) error { return printCurves(w, points) }, cliffs(points))
}

// run measures one shop after the other.
func (c *curve) run(ctx context.Context, dir string) (points []CurvePoint, err error) {
	type size struct{ products, orders int }
	sizes := []size{{c.products[0], c.orders[0]}}
	for _, n := range c.products[1:] {
		sizes = append(sizes, size{n, c.orders[0]})
	}
	for _, n := range c.orders[1:] {
		sizes = append(sizes, size{c.products[0], n})
	}
	for i, s := range sizes {
		folder := filepath.Join(dir, fmt.Sprint(i))
		err := withShop(ctx, nil, folder, []string{behindProxy}, func(_ *child, st *state.State) error {
			if err := c.fill(ctx, st, s.products, s.orders); err != nil {
				return fmt.Errorf("fill: %w", err)
			}
			for _, n := range c.buyers {
				p, err := c.measure(ctx, st, n)
				if err != nil {
					return fmt.Errorf("%d buyers: %w", n, err)
				}
				p.Products, p.Orders = s.products, s.orders
				fmt.Fprintf(c.progress, "%d products, %d orders, %d buyers: %.0f a second, p99 %.0f ms, %d refusals\n", p.Products, p.Orders, p.Buyers, p.PerSecond, p.P99Millis, p.Refused)
				points = append(points, p)
			}
			return nil
		}, "--events", "none") // half of filling a shop is telling of it
		if err := errors.Join(err, os.RemoveAll(folder)); err != nil {
			return nil, err
		}
	}
	return points, nil
}

// fill makes up what is missing to so many products and orders.
func (c *curve) fill(ctx context.Context, st *state.State, products, orders int) error {
	shop := shopclient.New(st.URL)
	page, err := shop.Products(ctx, shopclient.ProductQuery{Limit: 1, Facets: true})
	if err != nil {
		return err
	}
	if missing := products - int(page.Facets.Total); missing > 0 {
		s := &scale{progress: c.progress, catalog: newGenerated()}
		if err := s.fill(ctx, st, missing); err != nil {
			return err
		}
	}
	past := &pastOrders{sizes: [2]int{orders, orders}, progress: c.progress}
	u := &orderUser{past: orders, shop: shop, operator: shop.WithToken(st.OperatorToken), sku: page.Products[0].Variants[0].SKU}
	return past.fill(ctx, u, st)
}

// measure has n buyers buy, for a quarter of the time first that does not count.
func (c *curve) measure(ctx context.Context, st *state.State, n int) (p CurvePoint, err error) {
	products, err := newBuyer(ctx, st.URL, 1)
	if err != nil {
		return p, err
	}
	from := addresses("198.18.%d.%d", n)
	shop := &restShop{client: shopclient.New(st.URL), trying: make(chan struct{}, n)}
	defer shop.client.Close()
	buy := func(ctx context.Context, w, i int) error {
		var cart readyCart
		guest := shop.client.WithHeader(http.Header{"X-Forwarded-For": {from[w]}})
		err := shop.patiently(ctx, time.Minute, func(ctx context.Context) error {
			made, err := guest.NewCart(ctx, products.choose(w*1_000_003+i))
			if err == nil {
				cart = readyCart{guest.WithToken(made.Token), made.ID}
			}
			return err
		})
		if err != nil {
			return err
		}
		return shop.order(ctx, cart, time.Minute)
	}
	if _, err := closedLoop(ctx, n, c.time/4, buy); err != nil {
		return p, err
	}
	shop.refusals.Store(0)
	var paid atomic.Int64 // in time: some buyers still wait when most have stopped
	end := time.Now().Add(c.time)
	m, err := closedLoop(ctx, n, c.time, func(ctx context.Context, w, i int) error {
		err := buy(ctx, w, i)
		if err == nil && time.Now().Before(end) {
			paid.Add(1)
		}
		return err
	})
	return CurvePoint{
		Buyers: n, PerSecond: float64(paid.Load()) / c.time.Seconds(), P50Millis: millis(m.quantile(50)), P99Millis: millis(m.quantile(99)), Refused: shop.refusals.Load(),
	}, err
}

// cliffs are the points whose goodput is much below what fewer buyers had in the same shop.
func cliffs(points []CurvePoint) (broken []string) {
	for _, shop := range curvesOf(points) {
		best := 0.0
		for _, p := range shop {
			if p.PerSecond < goodputKept*best {
				broken = append(broken, fmt.Sprintf("%d buyers get %.0f orders a second of a shop with %d products and %d orders, which gave fewer buyers %.0f", p.Buyers, p.PerSecond, p.Products, p.Orders, best))
			}
			best = max(best, p.PerSecond)
		}
	}
	return broken
}

// curvesOf are the points by shop.
func curvesOf(points []CurvePoint) (curves [][]CurvePoint) {
	for i, p := range points {
		if i == 0 || p.Products != points[i-1].Products || p.Orders != points[i-1].Orders {
			curves = append(curves, nil)
		}
		curves[len(curves)-1] = append(curves[len(curves)-1], p)
	}
	return curves
}

func printCurves(w io.Writer, points []CurvePoint) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "products\torders\tbuyers\tpaid/s\tp50\tp99\trefused\t")
	for _, p := range points {
		fmt.Fprintf(tw, "%d\t%d\t%d\t%s\t%.0f ms\t%.0f ms\t%d\t\n", p.Products, p.Orders, p.Buyers, perSecond(p.PerSecond), p.P50Millis, p.P99Millis, p.Refused)
	}
	return tw.Flush()
}

//go:embed curve.svg
var curveTemplate string

// curveChart is one of two charts: a value by the number of buyers, both on logarithmic axes.
type curveChart struct {
	Title  string
	X      int // of its left edge
	Marks  []curveMark
	Grid   []curveMark
	Curves []curveLine
}

// curveMark is a label on an axis.
type curveMark struct {
	At   float64
	Text string
}

// curveLine is a shop's.
type curveLine struct {
	Name, Color, Path string
	Dots              []curveDot
	LegendY           int
}

type curveDot struct{ X, Y float64 }

// The size of a chart's field and the height of a line of the legend, in pixels.
const (
	curveWidth, curveHeight = 330.0, 200.0
	legendLine              = 18
)

var curveColors = []string{"#0b6e4f", "#c2541b", "#3f51b5", "#8e24aa", "#795548", "#00838f"}

// drawCurves draws goodput and p99 as an SVG.
func drawCurves(path string, points []CurvePoint) error {
	t, err := template.New("curve").Parse(curveTemplate)
	if err != nil {
		return err
	}
	charts := []curveChart{
		newCurveChart("paid orders a second", 60, points, func(p CurvePoint) float64 { return p.PerSecond }),
		newCurveChart("p99 of a checkout, ms", 480, points, func(p CurvePoint) float64 { return p.P99Millis }),
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	drawing := struct {
		Height int // with a line of the legend for each shop
		Charts []curveChart
	}{310 + legendLine*len(charts[0].Curves), charts}
	return errors.Join(t.Execute(f, drawing), f.Close())
}

func newCurveChart(title string, x int, points []CurvePoint, value func(CurvePoint) float64) curveChart {
	c := curveChart{Title: title, X: x}
	least, most := math.Inf(1), 0.0
	fewest, crowd := points[0].Buyers, points[0].Buyers
	for _, p := range points {
		least, most = min(least, value(p)), max(most, value(p))
		fewest, crowd = min(fewest, p.Buyers), max(crowd, p.Buyers)
	}
	bottom := math.Floor(math.Log10(max(least, 0.01)))
	top := max(math.Ceil(math.Log10(max(most, 0.01))), bottom+1)
	across := func(n int) float64 {
		if crowd == fewest {
			return curveWidth / 2
		}
		return curveWidth * math.Log(float64(n)/float64(fewest)) / math.Log(float64(crowd)/float64(fewest))
	}
	up := func(v float64) float64 {
		return curveHeight * (1 - (math.Log10(max(v, 0.01))-bottom)/(top-bottom))
	}
	for e := bottom; e <= top; e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, e); v <= math.Pow(10, top) {
				c.Grid = append(c.Grid, curveMark{up(v), strconv.FormatFloat(v, 'g', 6, 64)})
			}
		}
	}
	for i, shop := range curvesOf(points) {
		line := curveLine{
			Name:  fmt.Sprintf("%d products, %d orders", shop[0].Products, shop[0].Orders),
			Color: curveColors[i%len(curveColors)], LegendY: legendLine * i,
		}
		for j, p := range shop {
			dot := curveDot{across(p.Buyers), up(value(p))}
			line.Dots = append(line.Dots, dot)
			line.Path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(j, 1)], dot.X, dot.Y)
			if i == 0 {
				c.Marks = append(c.Marks, curveMark{dot.X, fmt.Sprint(p.Buyers)})
			}
		}
		c.Curves = append(c.Curves, line)
	}
	return c
}
