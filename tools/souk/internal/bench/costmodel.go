package bench

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// hoursAMonth is AWS's own.
const hoursAMonth = 730

//go:embed prices.json
var listPrices []byte

// Prices are what things cost, in US dollars.
type Prices struct {
	Region string             `json:"region"`
	Date   string             `json:"date"`
	Source string             `json:"source"`
	USD    map[string]float64 `json:"usd"`
	Node   struct {
		Type   string  `json:"type"`
		VCPU   float64 `json:"vcpu"`
		DiskGB float64 `json:"disk_gb"`
	} `json:"node"`
	// Databases are classes of RDS with a synchronous standby, the smallest first. Cores are
	// those that may be busy on and on.
	Databases []struct {
		Class string  `json:"class"`
		Cores float64 `json:"cores"`
		Hour  float64 `json:"usd_hour"`
		Note  string  `json:"note"`
	} `json:"databases"`
}

// priceNames are the prices that the model uses.
var priceNames = []string{
	"eks_cluster_hour", "node_hour", "node_disk_gb_month", "alb_hour", "alb_lcu_hour", "nat_hour", "nat_gb", "ipv4_hour", "rds_gb_month",
	"cache_node_hour", "cloudfront_gb", "cloudfront_10k_requests", "s3_gb_month", "kms_key_month", "secret_month", "lambda_million_requests", "lambda_gb_second",
}

// readPrices reads a file of prices. The error names the field.
func readPrices(text []byte) (p Prices, err error) {
	if err := json.Unmarshal(text, &p); err != nil {
		return p, err
	}
	known := map[string]bool{}
	for _, name := range priceNames {
		known[name] = true
		if v, ok := p.USD[name]; !ok || v < 0 {
			return p, fmt.Errorf("usd.%s: want a price of 0 or more", name)
		}
	}
	for name := range p.USD {
		if !known[name] {
			return p, fmt.Errorf("usd.%s: is no price that is used", name)
		}
	}
	switch {
	case p.Region == "" || p.Date == "" || p.Source == "":
		return p, errors.New("region, date and source: say where the prices are from")
	case p.Node.VCPU <= 0 || p.Node.Type == "":
		return p, errors.New("node: want a type with vcpu above 0")
	case len(p.Databases) == 0:
		return p, errors.New("databases: want one or more")
	}
	for i, d := range p.Databases {
		if d.Cores <= 0 || i > 0 && d.Cores <= p.Databases[i-1].Cores {
			return p, fmt.Errorf("databases[%d].cores: want more than that of the one before", i)
		}
	}
	return p, nil
}

// Use is what the shop was measured to use. Times are of processors, in milliseconds.
type Use struct {
	Orders   Work `json:"order"`
	Pages    Work `json:"page"`
	Pictures Work `json:"picture"`
	// Idle is a second without a request.
	Idle Work `json:"idle_second"`
	// StoredBytes is by how much the databases grow for an order.
	StoredBytes float64 `json:"stored_bytes_an_order"`
}

// Work is what one of something takes.
type Work struct {
	Count int `json:"count"`
	// Shop is the services, the gateway and the broker, Database PostgreSQL.
	Shop     float64 `json:"shop_cpu_ms"`
	Database float64 `json:"database_cpu_ms"`
	// ByPart is both, by process.
	ByPart map[string]float64 `json:"cpu_ms_by_part"`
	// Bytes are sent to the client, with headers.
	Bytes float64 `json:"bytes"`
	// Statements are SQL statements, without those of an idle shop.
	Statements float64 `json:"statements"`
}

// Assumed is what nobody measured.
type Assumed struct {
	// Reads are pages for each order, Pictures on each page. InBrowser is the share of the pictures
	// that browsers have, PicturesKept that of the others which CloudFront has, PagesKept that
	// of the pages which a cache in front of the gateway has.
	Reads, Pictures                    float64
	InBrowser, PicturesKept, PagesKept float64
	// Peak is the busiest hour by the average one; Busy is how busy processors may be in it.
	Peak, Busy float64
	// Speed is what a core of AWS's does in the time of one here.
	Speed float64
	// Months are for how long orders are kept.
	Months float64
	// ProviderBytes are for the payment provider, mails and webhooks of an order, through NAT.
	ProviderBytes float64
}

// Line is a part of a bill.
type Line struct {
	Name       string  `json:"name"`
	Arithmetic string  `json:"arithmetic"`
	USD        float64 `json:"usd_a_month"`
}

// Bill is what an installation of k8s/terraform/aws costs a month.
type Bill struct {
	OrdersAnHour float64 `json:"orders_an_hour"`
	Nodes        int     `json:"nodes"`
	Database     string  `json:"database"`
	Lines        []Line  `json:"lines"`
	USD          float64 `json:"usd_a_month"`
	// AnOrder is the whole for each order, in dollars.
	AnOrder float64 `json:"usd_an_order"`
	// Lambda is what the renderer as a function would cost on top, where the gateway asks it.
	Lambda Line `json:"renderer_as_function"`
	// Steps are how the sizes were found.
	Steps []string `json:"steps"`
}

// minNodes are k8s/terraform/aws's: one in each zone.
const minNodes = 3

// minStorage is the least that the database's volume has there, in GB.
const minStorage = 50

// bill is a month at an average rate.
func (p Prices) bill(use Use, a Assumed, rate float64) (Bill, error) {
	b := Bill{OrdersAnHour: rate}
	step := func(format string, args ...any) { b.Steps = append(b.Steps, fmt.Sprintf(format, args...)) }
	orders := rate * hoursAMonth
	pages := a.Reads * (1 - a.PagesKept) // that reach the shop, for each order
	sought := a.Reads * a.Pictures * (1 - a.InBrowser)
	pictures := sought * (1 - a.PicturesKept) // that reach the shop
	step("an order's pages that reach the gateway: %g × (1 − %g) = %.1f", a.Reads, a.PagesKept, pages)
	step("its pictures: %g × %g × (1 − %g) = %.1f of CloudFront, × (1 − %g) = %.1f of the gateway", a.Reads, a.Pictures, a.InBrowser, sought, a.PicturesKept, pictures)

	// Processors, in the busiest hour.
	cores := func(name string, of func(Work) float64) float64 {
		each := of(use.Orders) + pages*of(use.Pages) + pictures*of(use.Pictures)
		busy := (rate*a.Peak*each/3.6e6 + of(use.Idle)/1000) / a.Speed
		step("%s: %.1f + %.1f × %.2f + %.1f × %.3f = %.0f ms an order; %.0f an hour × %.0f (peak) × that / 3,600,000 ms + %.3f (idle), / %.2f (speed) = %.3f cores",
			name, of(use.Orders), pages, of(use.Pages), pictures, of(use.Pictures), each, rate, a.Peak, of(use.Idle)/1000, a.Speed, busy)
		return busy
	}
	shop := cores("shop", func(w Work) float64 { return w.Shop })
	b.Nodes = max(minNodes, int(math.Ceil(shop/(p.Node.VCPU*a.Busy)))+1)
	step("nodes: max(%d, ⌈%.3f cores / (%.0f vCPU × %.2f)⌉ + 1, so that one may be lost) = %d", minNodes, shop, p.Node.VCPU, a.Busy, b.Nodes)
	database := cores("database", func(w Work) float64 { return w.Database })
	class := -1
	for i, d := range p.Databases {
		if database <= d.Cores*a.Busy {
			class = i
			break
		}
	}
	if class < 0 {
		return b, fmt.Errorf("%.0f orders an hour need %.1f cores of PostgreSQL, and the largest class has %.0f: divide the services among instances (databases of k8s/terraform/aws)", rate, database/a.Busy, p.Databases[len(p.Databases)-1].Cores)
	}
	d := p.Databases[class]
	b.Database = d.Class
	step("database: the smallest class with %.3f cores / %.2f: %s", database, a.Busy, d.Class)

	statements := rate * a.Peak / 3600 * (use.Orders.Statements + pages*use.Pages.Statements)
	step("SQL statements in the busiest hour: %.0f × %g / 3600 s × (%.1f + %.1f × %.2f) + %.0f (idle) = %.0f a second", rate, a.Peak, use.Orders.Statements, pages, use.Pages.Statements, use.Idle.Statements, statements+use.Idle.Statements)

	gb := orders * a.Months * use.StoredBytes / 1e9
	stored := max(minStorage, math.Ceil(2*gb))
	step("storage: %.0f orders a month × %.0f months × %.0f bytes = %.1f GB, twice for room, at least %d: %.0f GB", orders, a.Months, use.StoredBytes, gb, minStorage, stored)

	line := func(name string, usd float64, format string, args ...any) {
		b.Lines = append(b.Lines, Line{name, fmt.Sprintf(format, args...), usd})
		b.USD += usd
	}
	u := p.USD
	const h = hoursAMonth
	line("EKS control plane", h*u["eks_cluster_hour"], "%d h × %g", h, u["eks_cluster_hour"])
	n := float64(b.Nodes)
	line("nodes, "+p.Node.Type, n*h*u["node_hour"], "%d × %d h × %g", b.Nodes, h, u["node_hour"])
	line("disks of nodes and broker", (n*p.Node.DiskGB+3*5)*u["node_disk_gb_month"], "(%d × %.0f + 3 × 5 GB) × %g", b.Nodes, p.Node.DiskGB, u["node_disk_gb_month"])
	line("RDS Multi-AZ, "+d.Class, h*d.Hour, "%d h × %g", h, d.Hour)
	line("RDS storage", stored*u["rds_gb_month"], "%.0f GB × %g", stored, u["rds_gb_month"])
	line("ElastiCache, 2 nodes", 2*h*u["cache_node_hour"], "2 × %d h × %g", h, u["cache_node_hour"])
	outGB := orders * a.ProviderBytes / 1e9
	line("NAT, 3 zones", 3*h*(u["nat_hour"]+u["ipv4_hour"])+outGB*u["nat_gb"], "3 × %d h × (%g + %g) + %.2f GB × %g", h, u["nat_hour"], u["ipv4_hour"], outGB, u["nat_gb"])
	// What the load balancer passes on: one LCU has 1 GB an hour, and parts of one are charged.
	lcu := rate * (use.Orders.Bytes + pages*use.Pages.Bytes + pictures*use.Pictures.Bytes) / 1e9
	line("load balancer", h*(u["alb_hour"]+lcu*u["alb_lcu_hour"]), "%d h × (%g + %.3f LCU × %g), of 1 GB an hour each", h, u["alb_hour"], lcu, u["alb_lcu_hour"])
	sent := orders * (use.Orders.Bytes + a.Reads*use.Pages.Bytes + sought*use.Pictures.Bytes) / 1e9
	line("CloudFront, bytes", sent*u["cloudfront_gb"], "%.0f orders × (%.0f + %.0f × %.0f + %.0f × %.0f bytes) = %.1f GB × %g", orders, use.Orders.Bytes, a.Reads, use.Pages.Bytes, sought, use.Pictures.Bytes, sent, u["cloudfront_gb"])
	requests := orders * (2 + a.Reads + sought)
	line("CloudFront, requests", requests/1e4*u["cloudfront_10k_requests"], "%.0f orders × (2 + %.0f + %.0f) / 10,000 × %g", orders, a.Reads, sought, u["cloudfront_10k_requests"])
	line("S3, 14 dumps", 14*gb/4*u["s3_gb_month"], "14 × %.1f GB / 4 (compressed) × %g", gb, u["s3_gb_month"])
	line("key and secret", u["kms_key_month"]+u["secret_month"], "%g + %g", u["kms_key_month"], u["secret_month"])
	b.AnOrder = b.USD / orders
	drawn := orders * pictures
	// The gateway asks CloudFront, which is the function's only caller, by way of NAT.
	drawnGB := drawn * use.Pictures.Bytes / 1e9
	b.Lambda = Line{
		"pictures by Lambda",
		fmt.Sprintf("%.0f pictures × (%g / 1,000,000 + 1 ms × 0.25 GB × %g / 1000 + %g / 10,000 of CloudFront) + %.2f GB × (%g + %g)",
			drawn, u["lambda_million_requests"], u["lambda_gb_second"], u["cloudfront_10k_requests"], drawnGB, u["cloudfront_gb"], u["nat_gb"]),
		drawn*(u["lambda_million_requests"]/1e6+0.001*0.25*u["lambda_gb_second"]+u["cloudfront_10k_requests"]/1e4) + drawnGB*(u["cloudfront_gb"]+u["nat_gb"]),
	}
	return b, nil
}
