// Package relevance judges the shop's search: queries in many scripts, with typos,
// plurals, SKUs and hyphens, each with the products that must and must not be among
// the first ten. The products are the embedded catalog and a few made-up ones.
package relevance

import (
	"bytes"
	"context"
	_ "embed" // for products and queries
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/seed"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

//go:embed products.csv
var products []byte

//go:embed queries.tsv
var queries string

// first is how many of the products found are judged.
const first = 10

// Query is a search with what it must and must not find.
type Query struct {
	Script, Text string
	// right and wrong tell products, by "CODE name"; none is right where Nothing is
	// to be found.
	right, wrong func(string) bool
	Nothing      bool
}

// Judgement is how well the first products of a query fit.
type Judgement struct {
	Query       Query
	SearchedFor string
	// Found are the first products, "CODE name"; Missing are right ones that there was
	// room for; Wrong are those that must not be there.
	Found, Missing, Wrong []string
	Precision, Recall     float64
}

// Queries reads the judged queries.
func Queries() ([]Query, error) {
	var out []Query
	script := ""
	for line := range strings.Lines(queries) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "## "); ok {
			script = name
			continue
		}
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		cells := append(strings.Split(line, "\t"), "", "")
		q := Query{Script: script, Text: cells[0], Nothing: cells[1] == "-"}
		var err error
		if q.right, err = matcher(cells[1]); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		if q.wrong, err = matcher(cells[2]); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		out = append(out, q)
	}
	return out, nil
}

func matcher(cell string) (func(string) bool, error) {
	if pattern, ok := strings.CutPrefix(cell, "/"); ok {
		re, err := regexp.Compile(strings.TrimSuffix(pattern, "/"))
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	}
	codes := strings.Fields(cell)
	return func(product string) bool {
		code, _, _ := strings.Cut(product, " ")
		return slices.Contains(codes, code)
	}, nil
}

// catalog is all products that there are, "CODE name".
func catalog() ([]string, error) {
	embedded, err := seed.Open()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, in := range []io.Reader{embedded, bytes.NewReader(products)} {
		rows, err := csv.NewReader(in).ReadAll()
		if err != nil {
			return nil, err
		}
		code, name := slices.Index(rows[0], "code"), slices.Index(rows[0], "name")
		for _, row := range rows[1:] {
			if row[name] != "" {
				out = append(out, row[code]+" "+row[name])
			}
		}
	}
	return out, nil
}

// Import brings the made-up products into a running shop.
func Import(ctx context.Context, operator *shopclient.Client) error {
	_, err := operator.ImportProducts(ctx, bytes.NewReader(products))
	return err
}

// Judge asks all queries of a shop that has the embedded catalog and the made-up
// products.
func Judge(ctx context.Context, shop *shopclient.Client) ([]Judgement, error) {
	all, err := catalog()
	if err != nil {
		return nil, err
	}
	asked, err := Queries()
	if err != nil {
		return nil, err
	}
	out := make([]Judgement, len(asked))
	for i, q := range asked {
		page, err := shop.Products(ctx, shopclient.ProductQuery{Query: q.Text, Limit: first})
		if err != nil {
			return nil, fmt.Errorf("%q: %w", q.Text, err)
		}
		found := make([]string, len(page.Products))
		for j, p := range page.Products {
			found[j] = p.Code + " " + p.Name
		}
		out[i] = judge(q, found, all)
		out[i].SearchedFor = page.SearchedFor
	}
	return out, nil
}

func judge(q Query, found, all []string) Judgement {
	j := Judgement{Query: q, Found: found}
	hits := 0
	for _, p := range found {
		switch {
		case q.wrong(p):
			j.Wrong = append(j.Wrong, p)
		case q.right(p):
			hits++
		}
	}
	if q.Nothing {
		j.Wrong = found
		j.Precision, j.Recall = 1, 1
		if len(found) > 0 {
			j.Precision = 0
		}
		return j
	}
	right := 0
	for _, p := range all {
		if q.right(p) && !q.wrong(p) {
			if right++; !slices.Contains(found, p) && len(j.Missing) < first {
				j.Missing = append(j.Missing, p)
			}
		}
	}
	if hits >= min(first, right) {
		j.Missing = nil
	}
	j.Recall = float64(hits) / float64(max(1, min(first, right)))
	if len(found) > 0 {
		j.Precision = float64(hits) / float64(len(found))
	}
	return j
}

// Mean is the precision and recall of judgements, and how many products are there
// that must not be.
func Mean(all []Judgement) (precision, recall float64, wrong int) {
	for _, j := range all {
		precision += j.Precision
		recall += j.Recall
		wrong += len(j.Wrong)
	}
	n := float64(max(1, len(all)))
	return precision / n, recall / n, wrong
}

// Command is `souk relevance`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := cli.Flags("relevance", `usage: souk relevance [flags]

Starts a shop of its own in a temporary folder, searches it for a few hundred
judged words in many scripts, and prints by script how many of the first ten
products are right (precision) and how many of the right ones are there (recall).

`, stderr)
	verbose := flags.Bool("v", false, "print each query that is not answered perfectly")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		flags.Usage()
		return errors.New("relevance takes no arguments")
	}
	dir, err := os.MkdirTemp("", "souk-relevance-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	shop, err := localshop.Start(ctx, localshop.Options{Dir: dir, Seed: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Stop(context.WithoutCancel(ctx))) }()
	client := shopclient.New(shop.URL)
	if err := Import(ctx, client.WithToken(shop.OperatorToken)); err != nil {
		return err
	}
	all, err := Judge(ctx, client)
	if err != nil {
		return err
	}
	return Print(stdout, all, *verbose)
}

// Print writes precision and recall by script.
func Print(w io.Writer, all []Judgement, verbose bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\tqueries\tprecision\trecall\twrong")
	line := func(name string, of []Judgement) {
		precision, recall, wrong := Mean(of)
		fmt.Fprintf(tw, "%s\t%d\t%.3f\t%.3f\t%d\n", name, len(of), precision, recall, wrong)
	}
	for _, s := range Scripts(all) {
		line(s, Of(all, s))
	}
	line("all", all)
	if err := tw.Flush(); err != nil || !verbose {
		return err
	}
	for _, j := range all {
		if j.Precision < 1 || j.Recall < 1 || len(j.Wrong) > 0 {
			fmt.Fprintf(w, "\n%s (searched for %q): precision %.2f, recall %.2f\n  found %s\n", j.Query.Text, j.SearchedFor, j.Precision, j.Recall, strings.Join(j.Found, "; "))
			if len(j.Missing) > 0 {
				fmt.Fprintf(w, "  missing %s\n", strings.Join(j.Missing, "; "))
			}
			if len(j.Wrong) > 0 {
				fmt.Fprintf(w, "  wrong %s\n", strings.Join(j.Wrong, "; "))
			}
		}
	}
	return nil
}

// Scripts are those of the judgements, in their order.
func Scripts(all []Judgement) []string {
	var out []string
	for _, j := range all {
		if !slices.Contains(out, j.Query.Script) {
			out = append(out, j.Query.Script)
		}
	}
	return out
}

// Of are the judgements of a script.
func Of(all []Judgement, script string) []Judgement {
	var out []Judgement
	for _, j := range all {
		if j.Query.Script == script {
			out = append(out, j)
		}
	}
	return out
}
