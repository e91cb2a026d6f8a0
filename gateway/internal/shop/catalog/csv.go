package catalog

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/souk-shop/souk/gateway/internal/problem"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	"github.com/souk-shop/souk/proto/money"
)

// importTimeout bounds the wait for an import of up to 20,000 products. One that was
// accepted is finished without its caller.
const importTimeout = 2 * time.Minute

// maxProblems is how many problems of a file are listed; the rest are counted.
const maxProblems = 20

// The columns of an import. Their order in the file is free.
var (
	csvRequired = []string{"code", "sku", "name", "category", "price", "currency"}
	csvOptional = []string{"variant", "description", "category_name", "stock", "popularity", "state", "variant_state"}
)

// ImportCSV creates or replaces the products of a CSV file, all or none. Several
// rows with one code are the variants of one product; cells that all variants
// share may be empty after the first row. Problems: InvalidCSV with the first
// problems by line, CodeTaken, SKUTaken, StockBelowCommitted and NotADraftAgain with the
// lines of the codes or SKUs. An error of the reader is returned as it is.
func (c *Catalog) ImportCSV(ctx context.Context, v *accessv1.Viewer, r io.Reader) (Upserted, error) {
	f := newCSVFile()
	products, err := f.read(r)
	if err != nil {
		return Upserted{}, err
	}
	done, err := c.Upsert(ctx, v, products)
	err = problem.AtFields(err, f.place)
	codes, drafts := problem.Is(err, problem.CodeTaken), problem.Is(err, problem.NotADraftAgain)
	return done, problem.AtSKUs(err, func(name string) string {
		line := f.bySKU[name]
		if at, is := f.byCode[name]; is && (codes || drafts && f.products[at].State == Draft) {
			line = f.lines[at]
		}
		return "line " + strconv.Itoa(line)
	})
}

// ReadCSV reads the file of ImportCSV and changes nothing.
func ReadCSV(r io.Reader) ([]ProductInput, error) {
	return newCSVFile().read(r)
}

// separators are what may stand between cells: what spreadsheets write depends on
// the country they are set to.
var separators = []rune{',', ';', '\t'}

// openCSV finds the separator: the one that the line "sep=;" says, which some
// spreadsheets write first, or else the one that the first line has most of. It
// also reports how many lines it took.
func openCSV(in *bufio.Reader) (reader *csv.Reader, taken int) {
	if bom, _ := in.Peek(3); string(bom) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	separator, most := ',', 0
	start, _ := in.Peek(4096)
	first, _, _ := strings.Cut(string(start), "\n")
	if said, ok := strings.CutPrefix(strings.ToLower(strings.Trim(first, "\r\"")), "sep="); ok && len(said) == 1 && slices.Contains(separators, rune(said[0])) {
		separator, taken = rune(said[0]), 1
		_, _ = in.Discard(len(first) + 1)
	} else {
		for _, s := range separators {
			if n := strings.Count(first, string(s)); n > most {
				separator, most = s, n
			}
		}
	}
	reader = csv.NewReader(in)
	reader.Comma = separator
	reader.ReuseRecord = true
	return reader, taken
}

// empty reports whether a row has nothing in its cells.
func empty(record []string) bool {
	return !slices.ContainsFunc(record, func(cell string) bool { return strings.TrimSpace(cell) != "" })
}

func newCSVFile() *csvFile {
	return &csvFile{byCode: map[string]int{}, bySKU: map[string]int{}, named: map[string]named{}}
}

// read reads the file's products.
func (f *csvFile) read(r io.Reader) ([]ProductInput, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if mark, _ := in.Peek(2); string(mark) == "\xff\xfe" || string(mark) == "\xfe\xff" {
		f.problem(1, "is UTF-16, so this is not a CSV file of products in UTF-8; save it as \"CSV UTF-8\"")
		return nil, f.failed()
	}
	reader, taken := openCSV(in)
	f.decimalComma, f.before = reader.Comma != ',', taken
	header, err := reader.Read()
	if err := f.header(header, err); err != nil {
		return nil, err
	}
	for {
		record, err := reader.Read()
		if err == io.EOF {
			break
		}
		var parse *csv.ParseError
		switch {
		case errors.As(err, &parse) && errors.Is(err, csv.ErrFieldCount):
			if empty(record) {
				continue
			}
			f.problem(parse.StartLine+taken, "has %d columns, the first line has %d", len(record), len(f.columns))
			continue
		case errors.As(err, &parse):
			// After a stray quote the rest of the file can't be told apart.
			f.problem(parse.Line+taken, "is not CSV: %v", parse.Err)
			return nil, f.failed()
		case err != nil:
			return nil, err
		}
		line, _ := reader.FieldPos(0)
		if empty(record) {
			continue // what spreadsheets write below the table
		}
		f.row(line+taken, record)
		if len(f.products) > MaxProducts {
			f.problem(line+taken, "is too much: at most %d products a file", MaxProducts)
			return nil, f.failed()
		}
	}
	if f.problems == 0 && len(f.products) == 0 {
		f.problem(2+taken, "is missing: there are no products")
	}
	if f.problems > 0 {
		return nil, f.failed()
	}
	return f.products, nil
}

type csvFile struct {
	// decimalComma says that prices may be "2,95": no comma separates cells.
	decimalComma bool
	before       int // lines before the header
	columns      []string
	products     []ProductInput
	lines        []int          // of each product's first row
	byCode       map[string]int // index in products
	bySKU        map[string]int // line
	named        map[string]named
	listed       []problem.Field
	problems     int
}

// named is the product that a code or SKU names, and where the file says so first.
type named struct {
	code string
	line int
}

// name refuses a code or SKU that names another product of the file.
func (f *csvFile) name(line int, column, name, code string) {
	first, ok := f.named[name]
	switch {
	case !ok:
		f.named[name] = named{code, line}
	case first.code != code:
		f.problem(line, "%s %s names the product %s of line %d; a code or SKU names one product", column, quote(name), quote(first.code), first.line)
	}
}

func (f *csvFile) problem(line int, format string, args ...any) {
	if f.problems++; len(f.listed) < maxProblems {
		f.listed = append(f.listed, problem.Field{Field: "line " + strconv.Itoa(line), Detail: fmt.Sprintf(format, args...)})
	}
}

// place names the line of a field of the request that the file became.
func (f *csvFile) place(in problem.Field) problem.Field {
	var product, variant int
	var column string
	line := func(n int) problem.Field {
		return problem.Field{Field: "line " + strconv.Itoa(n), Detail: column + " " + in.Detail}
	}
	if n, _ := fmt.Sscanf(in.Field, "products[%d].variants[%d].%s", &product, &variant, &column); n == 3 &&
		product < len(f.products) && variant < len(f.products[product].Variants) {
		return line(f.bySKU[f.products[product].Variants[variant].SKU])
	}
	if n, _ := fmt.Sscanf(in.Field, "products[%d].%s", &product, &column); n == 2 && product < len(f.lines) {
		return line(f.lines[product])
	}
	return in
}

func (f *csvFile) failed() *problem.Error {
	e := problem.New(problem.InvalidCSV)
	e.Fields = f.listed
	if more := f.problems - len(f.listed); more > 0 {
		e.Detail = fmt.Sprintf("The file has %d problems, of which the first %d are listed. Nothing was changed.", f.problems, len(f.listed))
	}
	return e
}

// header reads the first line, err being what reading it gave.
func (f *csvFile) header(record []string, err error) error {
	columns := "the columns are " + strings.Join(csvRequired, ", ") + " and, if you like, " + strings.Join(csvOptional, ", ")
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		f.problem(1+f.before, "is missing: the file is empty; %s", columns)
		return f.failed()
	case errors.As(err, &parse):
		f.problem(parse.Line+f.before, "is not CSV: %v; %s", parse.Err, columns)
		return f.failed()
	case err != nil:
		return err
	}
	known := 0
	for _, c := range record {
		c = strings.ToLower(strings.TrimSpace(c))
		f.columns = append(f.columns, c)
		if slices.Contains(csvRequired, c) || slices.Contains(csvOptional, c) {
			known++
		}
	}
	if known < len(csvRequired)/2 {
		f.problem(1+f.before, "does not name the columns (between commas, semicolons or tabs), so this is not a CSV file of products; %s", columns)
		return f.failed()
	}
	for i, c := range f.columns {
		switch {
		case slices.Contains(f.columns[:i], c):
			f.problem(1+f.before, "has the column %s twice", quote(c))
		case !slices.Contains(csvRequired, c) && !slices.Contains(csvOptional, c):
			f.problem(1+f.before, "has the unknown column %s; %s", quote(c), columns)
		}
	}
	for _, c := range csvRequired {
		if !slices.Contains(f.columns, c) {
			f.problem(1+f.before, "lacks the column %q", c)
		}
	}
	if f.problems > 0 {
		return f.failed()
	}
	return nil
}

// row reads one line: a product with its first variant, or one more variant.
func (f *csvFile) row(line int, record []string) {
	cell := make(map[string]string, len(record))
	for i, v := range record {
		if !utf8.ValidString(v) {
			f.problem(line, "column %s is not UTF-8; save the file as \"CSV UTF-8\"", f.columns[i])
			return
		}
		cell[f.columns[i]] = strings.TrimSpace(v)
	}
	p := ProductInput{
		Code: cell["code"], Name: cell["name"], Description: cell["description"],
		Category: cell["category"], CategoryName: cell["category_name"],
	}
	v := VariantInput{SKU: cell["sku"], Name: cell["variant"]}
	before := f.problems
	p.State, v.State = f.state(line, "state", cell["state"]), f.state(line, "variant_state", cell["variant_state"])
	v.Price = f.price(line, cell["price"], cell["currency"])
	if s := cell["stock"]; s != "" {
		n := f.number(line, "stock", s)
		v.Stock = &n
	}
	if s := cell["popularity"]; s != "" {
		p.Popularity = f.number(line, "popularity", s)
	}
	if first, ok := f.bySKU[v.SKU]; ok {
		f.problem(line, "has the SKU %s of line %d", quote(v.SKU), first)
	} else {
		f.bySKU[v.SKU] = line
		f.name(line, "sku", v.SKU, p.Code)
	}
	f.name(line, "code", p.Code, p.Code)
	at, sibling := f.byCode[p.Code]
	if sibling {
		f.inherit(line, f.lines[at], &p, &f.products[at])
	}
	if f.problems > before {
		return
	}
	p.Variants = []VariantInput{v}
	for _, e := range CheckProduct(&p) {
		f.problem(line, "%s %s", strings.TrimPrefix(e.Field, "variants[0]."), e.Detail)
	}
	switch {
	case sibling:
		f.products[at].Variants = append(f.products[at].Variants, v)
		if len(f.products[at].Variants) > MaxVariants {
			f.problem(line, "is too much: at most %d variants a product", MaxVariants)
		}
	case f.problems == before:
		f.byCode[p.Code] = len(f.products)
		f.products = append(f.products, p)
		f.lines = append(f.lines, line)
	}
}

// inherit takes empty cells from the product's first row and refuses those that
// contradict it.
func (f *csvFile) inherit(line, first int, p, from *ProductInput) {
	for _, c := range []struct {
		name       string
		here, from *string
	}{
		{"name", &p.Name, &from.Name},
		{"description", &p.Description, &from.Description},
		{"category", &p.Category, &from.Category},
		{"category_name", &p.CategoryName, &from.CategoryName},
		{"state", (*string)(&p.State), (*string)(&from.State)},
	} {
		if *c.here == "" {
			*c.here = *c.from
		} else if *c.here != *c.from {
			f.problem(line, "%s differs from line %d of the same product", c.name, first)
		}
	}
}

func (f *csvFile) price(line int, decimal, currency string) money.Money {
	point := decimal
	if f.decimalComma && !strings.Contains(decimal, ".") {
		point = strings.Replace(decimal, ",", ".", 1)
	}
	m, err := money.Parse(point, currency)
	switch {
	case err != nil:
		f.problem(line, "price must be a decimal amount of the currency, such as 2.95 and GBP; it is %s %s", quote(decimal), quote(currency))
	case m.Units <= 0:
		f.problem(line, "price must be greater than zero; it is %s", quote(decimal))
	}
	return m
}

// state reads a state; empty keeps the one that there is.
func (f *csvFile) state(line int, column, s string) State {
	state := State(strings.ToLower(s))
	if _, known := states[state]; s != "" && !known {
		f.problem(line, "%s must be draft, active, archived or empty; it is %s", column, quote(s))
	}
	return state
}

func (f *csvFile) number(line int, column, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > MaxStock {
		f.problem(line, "%s must be a whole number from 0 to %d; it is %s", column, int64(MaxStock), quote(s))
	}
	return n
}
