package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/souk/internal/verify"
)

// phases are those of an outage.
var phases = [...]string{"before", "while it is frozen", "after"}

// Outage is what the customers of a cell had in a phase.
type Outage struct {
	Phase string `json:"phase"`
	Cell  string `json:"cell"`
	// Bought and Failed are orders that ended in the phase: paid, and not.
	Bought    int64   `json:"bought"`
	Failed    int64   `json:"failed"`
	P50Millis float64 `json:"p50_ms"`
	P99Millis float64 `json:"p99_ms"`
	// LongestMillis is the longest of those that were bought.
	LongestMillis float64 `json:"longest_ms"`
	hist          sample
}

// outage freezes the order service of the last cell of a shop while customers of each cell buy.
// It fails when customers of the other cells notice, when those of the cell do not go on
// afterwards, or when the ledgers differ.
func (b *cellsBench) outage(ctx context.Context, dir string, cells int) (out []Outage, err error) {
	err = withShop(ctx, nil, dir, nil, func(_ *child, st *state.State) error {
		buyer, err := newBuyer(ctx, st.URL, b.lines)
		if err != nil {
			return err
		}
		customers, err := buyer.customers(ctx, cells, b.concurrency)
		if err != nil {
			return err
		}
		out = make([]Outage, len(phases)*cells)
		for p := range phases {
			for c := range cells {
				out[p*cells+c] = Outage{Phase: phases[p], Cell: cellName(c), hist: sample{hist: newHistogram()}}
			}
		}
		began := time.Now()
		var mu sync.Mutex
		note := func(c int, at time.Time, err error) {
			mu.Lock()
			defer mu.Unlock()
			o := &out[min(int(time.Since(began)/b.frozen), len(phases)-1)*cells+c]
			if err != nil {
				o.Failed++
				return
			}
			o.Bought++
			_ = o.hist.hist.RecordValue(min(time.Since(at), time.Minute).Microseconds())
		}
		var wg sync.WaitGroup
		for c, ofCell := range customers {
			for w, who := range ofCell {
				wg.Go(func() {
					for i := 0; time.Since(began) < time.Duration(len(phases))*b.frozen && ctx.Err() == nil; i++ {
						at := time.Now()
						err := buyer.buyAs(ctx, who, w*1_000_003+i)
						note(c, at, err)
						if err != nil { // as a person does, and no loop that the refusals feed
							_ = retry.Sleep(ctx, 100*time.Millisecond)
						}
					}
				})
			}
		}
		failed := b.freeze(ctx, st, topology.CellName("order", cellName(cells-1)))
		wg.Wait()
		if failed != nil {
			return failed
		}
		return verify.Check(ctx, st, nil, time.Minute, io.Discard)
	}, "--cells", strconv.Itoa(cells), "--processes", "--traces=false", "--metrics=false")
	if err != nil {
		return nil, err
	}
	for i := range out {
		o := &out[i]
		o.P50Millis = float64(o.hist.quantile(50)) / float64(time.Millisecond)
		o.P99Millis = float64(o.hist.quantile(99)) / float64(time.Millisecond)
		o.LongestMillis = float64(o.hist.quantile(100)) / float64(time.Millisecond)
		last := o.Cell == cellName(cells-1)
		switch {
		case !last && o.Failed > 0:
			err = errors.Join(err, fmt.Errorf("%s: %d orders of customers of cell %s failed, which was not away", o.Phase, o.Failed, o.Cell))
		case o.Bought == 0 && (!last || o.Phase != phases[1]):
			err = errors.Join(err, fmt.Errorf("%s: no customer of cell %s bought", o.Phase, o.Cell))
		}
	}
	return out, err
}

// freeze stops a part's process in the second phase, for all of it.
func (b *cellsBench) freeze(ctx context.Context, st *state.State, part string) error {
	if err := retry.Sleep(ctx, b.frozen); err != nil {
		return err
	}
	pid := st.PIDs[part]
	if pid == 0 {
		return fmt.Errorf("%s has no process", part)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze %s: %w", part, err)
	}
	return errors.Join(retry.Sleep(ctx, b.frozen), syscall.Kill(pid, syscall.SIGCONT))
}

// cellName is that of the cell of an index.
func cellName(i int) string { return fmt.Sprint("c", i+1) }

// customer is a guest with a cart.
type customer struct {
	*shopclient.Client
	cart string
}

// customers are guests, so many of each cell.
func (b *buyer) customers(ctx context.Context, cells, each int) ([][]customer, error) {
	of := make([][]customer, cells)
	for found := 0; found < cells*each; {
		cart, err := b.shop.NewCart(ctx, nil)
		if err != nil {
			return nil, err
		}
		bucket, err := cell.OfText(cart.ID)
		if err != nil {
			return nil, err
		}
		if c := int(bucket) * cells / cell.Buckets; len(of[c]) < each {
			of[c], found = append(of[c], customer{b.shop.WithToken(cart.Token), cart.ID}), found+1
		}
	}
	return of, nil
}

// buyAs has a customer buy one unit of a few products.
func (b *buyer) buyAs(ctx context.Context, c customer, n int) error {
	_, err := c.SetLines(ctx, c.cart, b.choose(n))
	if err != nil {
		return err
	}
	_, err = b.order(ctx, c.Client, c.cart)
	return err
}

func printOutage(w io.Writer, outages []Outage) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\norder service of a cell\tcustomers of\tbought\tfailed\tp50\tp99\tlongest")
	for _, o := range outages {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%.0f ms\t%.0f ms\t%.0f ms\n", o.Phase, o.Cell, o.Bought, o.Failed, o.P50Millis, o.P99Millis, o.LongestMillis)
	}
	return tw.Flush()
}
