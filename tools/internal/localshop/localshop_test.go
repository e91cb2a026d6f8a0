package localshop_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/gateway/traces"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/seed"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// TestMain is also the program of the processes that the tests start: a
// service's, or a whole shop's.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		var err error
		switch os.Args[1] {
		case "service":
			err = localshop.RunService(context.Background(), os.Args[2])
		case "shop":
			err = runShop(os.Args[2])
		case "restore":
			err = localshop.RestoreUntilKilled(os.Args[2])
		default:
			os.Exit(m.Run())
		}
		if err == nil {
			os.Exit(0)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runShop runs a shop until it is killed and tells when it is ready.
func runShop(dir string) error {
	shop, err := localshop.Start(context.Background(), localshop.Options{Dir: dir, Redis: localshop.OneRedis, Disposable: true, Processes: true})
	if err != nil {
		return err
	}
	fmt.Println("ready", shop.URL)
	<-shop.Done()
	return shop.Err()
}

// eventually waits until something is so.
func eventually(ctx context.Context, t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, ctx.Err())
		case <-tick.C:
		}
	}
}

func start(t *testing.T, opts localshop.Options) *localshop.Shop {
	t.Helper()
	opts.Disposable = true
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // of a machine that runs much else
	defer cancel()
	shop, err := localshop.Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, shop) })
	return shop
}

func stop(t *testing.T, shop *localshop.Shop) {
	t.Helper()
	if err := shop.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// buy puts a product into a new guest's cart, orders it and returns the order.
func buy(t *testing.T, shop *localshop.Shop, sku string) *shopclient.Order {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cart, err := shopclient.New(shop.URL).NewCart(ctx, []shopclient.Line{{SKU: sku, Quantity: 2}})
	if err != nil {
		t.Fatalf("cart: %v", err)
	}
	order, err := shopclient.New(shop.URL).WithToken(cart.Token).PlaceOrder(ctx, uuid.NewString(), 20*time.Second, shopclient.Checkout{
		CartID: cart.ID, PaymentMethod: "pm_card_visa", Email: "ada@example.com",
		ShippingAddress: shopclient.Address{Name: "Ada", Line1: "1 High Street", City: "Town", PostalCode: "SW1Y 4JH", Country: "GB"},
	})
	if err != nil {
		t.Fatalf("order: %v", err)
	}
	return order
}

// popular returns what sells best.
func popular(t *testing.T, shop *localshop.Shop) shopclient.Product {
	t.Helper()
	page, err := shopclient.New(shop.URL).Products(t.Context(), shopclient.ProductQuery{Limit: 1, InStock: true, Facets: true})
	if err != nil {
		t.Fatal(err)
	}
	if page.Facets.Total < seed.Products*9/10 {
		t.Errorf("%d products in stock", page.Facets.Total)
	}
	return page.Products[0]
}

func TestShopIsKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(pgtest.Folder(t), "data")
	began := time.Now()
	var steps []string
	shop := start(t, localshop.Options{Dir: dir, Seed: true, Progress: func(p localshop.Progress) {
		if p.Took > 0 {
			steps = append(steps, p.Step)
		}
	}})
	first := time.Since(began)
	if have := strings.Join(steps, " "); !strings.HasSuffix(have, "services catalog") || !strings.Contains(have, "postgres") {
		t.Errorf("steps %s", have)
	}
	product := popular(t, shop)
	if order := buy(t, shop, product.Variants[0].SKU); order.State != shopclient.StatePaid || order.Total.Amount != 2*product.Price.Amount {
		t.Errorf("order %+v", order)
	}
	st, err := state.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st.URL != shop.URL || st.OperatorToken != shop.OperatorToken || st.PIDs["up"] != os.Getpid() || st.PIDs["postgres"] == 0 || st.Postgres["order"] != shop.DSN("order") {
		t.Errorf("state %+v", st)
	}
	if b, err := os.ReadFile(st.ProviderJournal()); err != nil || !strings.Contains(string(b), "payment_intent.captured") {
		t.Errorf("provider's journal: %s, %v", b, err)
	}

	hasMetrics(t, dir)

	var running *localshop.RunningError
	_, err = localshop.Start(t.Context(), localshop.Options{Dir: dir, Fresh: true})
	if !errors.As(err, &running) || running.PID != os.Getpid() || running.URL != shop.URL {
		t.Fatalf("second shop: %v", err)
	}
	if _, err := localshop.StartPostgres(t.Context(), dir); !errors.As(err, &running) {
		t.Fatalf("second database: %v", err)
	}

	operator := shopclient.New(shop.URL).WithToken(shop.OperatorToken)
	price := shopclient.Money{Amount: product.Price.Amount + 1, Currency: "GBP"}
	if err := operator.SetPrices(t.Context(), []shopclient.PriceChange{{SKU: product.Variants[0].SKU, Price: price}}); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	stop(t, shop)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if _, err := state.Read(dir); !errors.Is(err, state.ErrNotRunning) {
		t.Errorf("state after the stop: %v", err)
	}

	began = time.Now()
	shop = start(t, localshop.Options{Dir: dir, Seed: true})
	if again := time.Since(began); again > first && again > 5*time.Second {
		t.Errorf("first start %s, second %s", first, again)
	}
	kept, err := shopclient.New(shop.URL).Product(t.Context(), product.Code)
	if err != nil || kept.Price != price {
		t.Errorf("product %+v, %v: want the price %+v", kept, err, price)
	}
}

// checkTrace finds the trace of an order, with the spans of all processes that its checkout meets,
// the simulator of the provider included.
func checkTrace(t *testing.T, shop *localshop.Shop, order *shopclient.Order) {
	t.Helper()
	client, err := traces.NewClient(shop.TracesURL(), shop.TracesToken())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	eventually(ctx, t, "the order's trace, of all processes", func() bool {
		list, err := client.List(ctx, traces.Query{Order: order.Number})
		return err == nil && len(list.Traces) == 1 && list.Traces[0].OrderID == order.ID && list.Traces[0].Placed &&
			slices.Equal(list.Traces[0].Services, []string{"cart", "catalog", "gateway", "order", "payment", "stripesim"})
	})
}

func TestProcessesComeBack(t *testing.T) {
	t.Parallel()
	lives, dir := make(chan int, 10), pgtest.Folder(t)
	shop := start(t, localshop.Options{
		Dir: dir, Seed: true, Processes: true, Traces: true, Metrics: true,
		Env: func(service string, life int) []string {
			if service == "order" {
				select {
				case lives <- life:
				default: // a process that does not stay up is found by what follows
				}
			}
			return nil
		},
	})
	sku := popular(t, shop).Variants[0].SKU
	for _, name := range []string{"order", "catalog", "payment", "cart", "stripesim", "gateway"} {
		before := shop.PID(name)
		if err := shop.Kill(name); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		eventually(ctx, t, name+" comes back", func() bool {
			pid := shop.PID(name)
			return pid != 0 && pid != before
		})
		if err := shop.WaitReady(ctx); err != nil {
			t.Fatalf("after the end of %s: %v", name, err)
		}
		cancel()
	}
	order := buy(t, shop, sku)
	if order.State != shopclient.StatePaid {
		t.Errorf("order %+v", order)
	}
	checkTrace(t, shop, order)
	if a, b := <-lives, <-lives; a != 1 || b != 2 {
		t.Errorf("lives of order: %d, %d", a, b)
	}
	hasMetrics(t, dir)
	checkKeptMetrics(t, shop)
}

// checkKeptMetrics waits until the store of metrics has read every process, the restarted ones too.
func checkKeptMetrics(t *testing.T, shop *localshop.Shop) {
	t.Helper()
	client, err := metrics.NewClient(shop.MetricsURL(), shop.MetricsToken())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	eventually(ctx, t, "metrics of all processes", func() bool {
		d, err := client.Dashboard(ctx, "overview", metrics.Query{})
		if err != nil {
			return false
		}
		read := d.Rows[0].Panels[3].Series
		for i := range read {
			if v, ok := read[i].Values.Last(); !ok || v != 1 {
				return false
			}
		}
		return len(read) == len(topology.Of(topology.Service, topology.Gateway))
	})
}

// hasMetrics asks the admin listener of each part that the shop on a data folder has for its
// metrics, and whether it shows profiles.
func hasMetrics(t *testing.T, dir string) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second}
	st, err := state.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range topology.Of(topology.Service, topology.Gateway) {
		for path, want := range map[string]string{"/metrics": "souk_file_age_seconds", "/debug/pprof/cmdline": ""} {
			res, err := client.Get("http://" + st.Admin[part.Name] + path)
			if err != nil {
				t.Fatalf("%s: %v", part.Name, err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
				t.Errorf("%s%s: %s, %d bytes, %v", part.Name, path, res.Status, len(body), err)
			}
		}
	}
}

func TestNothingOutlivesAKilledShop(t *testing.T) {
	t.Parallel()
	dir := pgtest.Folder(t)
	cmd := exec.Command(os.Args[0], "shop", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		t.Fatalf("%q, %v", line, err)
	}
	st, err := state.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(st.PIDs) < 8 {
		t.Errorf("processes %v", st.PIDs)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for name, pid := range st.PIDs {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		eventually(ctx, t, fmt.Sprintf("%s (process id %d) ends", name, pid), func() bool { return !alive(pid) })
		cancel()
	}
	start(t, localshop.Options{Dir: dir})
}

// alive is false for a process that has ended, whether or not anybody has asked
// how.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(b), ") Z ")
}

func TestPostgresComesBack(t *testing.T) {
	t.Parallel()
	dir := pgtest.Folder(t)
	shop := start(t, localshop.Options{Dir: dir, Seed: true})
	st, err := state.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(st.PIDs["postgres"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	eventually(ctx, t, "postgres comes back", func() bool {
		conn, err := pgx.Connect(ctx, st.Postgres["order"])
		if err == nil {
			conn.Close(ctx)
		}
		return err == nil
	})
	eventually(ctx, t, "its new process id is told", func() bool {
		now, err := state.Read(dir)
		return err == nil && now.PIDs["postgres"] != st.PIDs["postgres"]
	})
	if err := shop.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if order := buy(t, shop, popular(t, shop).Variants[0].SKU); order.State != shopclient.StatePaid {
		t.Errorf("order %+v", order)
	}
}

func TestPostgresAlone(t *testing.T) {
	t.Parallel()
	dir := pgtest.Folder(t)
	pg, err := localshop.StartPostgres(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), pg.DSNs()["order"])
	if err != nil {
		t.Error(err)
	} else {
		for name, want := range map[string]string{
			"lock_timeout": "4s", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "30s", "default_transaction_isolation": "read committed",
		} {
			var got, source string
			err := conn.QueryRow(t.Context(), "SELECT current_setting(name), source FROM pg_settings WHERE name = $1", name).Scan(&got, &source)
			if err != nil || got != want || source != "database user" {
				t.Errorf("%s is %s by %s, %v; want %s of the role", name, got, source, err, want)
			}
		}
		conn.Close(t.Context())
	}
	if err := pg.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, localshop.Options{Dir: dir})
}

func TestBusyAddress(t *testing.T) {
	t.Parallel()
	shop := start(t, localshop.Options{Dir: pgtest.Folder(t)})
	dir := filepath.Join(t.TempDir(), "other")
	_, err := localshop.Start(t.Context(), localshop.Options{Dir: dir, Addr: strings.TrimPrefix(shop.URL, "http://")})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("start on a busy address: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a database was started: %v", err)
	}
}
