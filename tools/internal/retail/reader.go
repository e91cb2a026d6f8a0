package retail

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// columns in the order of the set; a file may have them in any order.
var columns = [...]string{
	"InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country",
}

const (
	colInvoice = iota
	colCode
	colDescription
	colQuantity
	colDate
	colPrice
	colCustomer
	colCountry
)

// layouts of InvoiceDate: as the set is published, and as its spreadsheet
// exports it.
var layouts = [...]string{"2006-01-02 15:04:05", "2006-01-02 15:04", "1/2/2006 15:04"}

// Reader reads lines one at a time.
type Reader struct {
	csv    *csv.Reader
	fields [len(columns)]int // index of each column in a record
	intern map[string]string
	date   string // the last date's text and value: most lines repeat it
	at     time.Time
}

// NewReader reads the header of a CSV, plain or compressed by gzip.
func NewReader(r io.Reader) (*Reader, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := br.Peek(2); string(magic) == "\x1f\x8b" {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("%w: gzip: %w", ErrNotCSV, err)
		}
		br = bufio.NewReaderSize(zr, 1<<16)
	}
	if bom, _ := br.Peek(3); string(bom) == "\xef\xbb\xbf" {
		_, _ = br.Discard(3) // just peeked
	}
	if head, err := br.Peek(512); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %w", ErrNotCSV, err)
	} else if len(head) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrNotCSV)
	} else if strings.ContainsRune(string(head), 0) {
		return nil, fmt.Errorf("%w: it holds binary data", ErrNotCSV)
	}
	cr := csv.NewReader(br)
	cr.ReuseRecord = true
	header, err := cr.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCSV, err)
	}
	out := &Reader{csv: cr, intern: map[string]string{}}
	var missing []string
	for i, want := range columns {
		out.fields[i] = -1
		for j, have := range header {
			if strings.EqualFold(strings.TrimSpace(have), want) {
				if out.fields[i] >= 0 {
					return nil, fmt.Errorf("column %s is there twice", want)
				}
				out.fields[i] = j
			}
		}
		if out.fields[i] < 0 {
			missing = append(missing, want)
		}
	}
	switch len(missing) {
	case 0:
		return out, nil
	case len(columns):
		return nil, fmt.Errorf("%w: its first line has none of the columns %s", ErrNotCSV, strings.Join(columns[:], ","))
	default:
		return nil, fmt.Errorf("missing columns: %s", strings.Join(missing, ", "))
	}
}

// Next returns the next line, or io.EOF after the last. An error names the
// line; there is no going on after it.
func (r *Reader) Next() (Line, error) {
	rec, err := r.csv.Read()
	if errors.Is(err, io.EOF) {
		return Line{}, io.EOF
	}
	if err != nil {
		// A csv.ParseError names the line; another error comes from below, of a
		// file that was cut short for example.
		return Line{}, fmt.Errorf("reading invoices: %w", err)
	}
	number, _ := r.csv.FieldPos(0)
	l, err := r.line(rec)
	if err != nil {
		return Line{}, fmt.Errorf("line %d: %w", number, err)
	}
	l.Number = number
	return l, nil
}

func (r *Reader) line(rec []string) (l Line, err error) {
	field := func(col int) string { return strings.TrimSpace(rec[r.fields[col]]) }
	for col, name := range columns {
		if col != colDescription && !utf8.ValidString(rec[r.fields[col]]) {
			return l, fmt.Errorf("%s is not valid UTF-8: %q", name, rec[r.fields[col]])
		}
	}
	l.Invoice = r.keep(strings.ToUpper(field(colInvoice)))
	if l.Kind, err = kindOf(l.Invoice); err != nil {
		return l, err
	}
	l.Code = r.keep(strings.ToUpper(field(colCode)))
	l.Description = r.keep(strings.TrimSpace(text(field(colDescription))))
	if l.Quantity, err = strconv.ParseInt(field(colQuantity), 10, 64); err != nil {
		return l, fmt.Errorf("Quantity %q is not a whole number", field(colQuantity))
	}
	if l.Quantity > maxQuantity || l.Quantity < -maxQuantity {
		return l, fmt.Errorf("Quantity %d is more than %d, the limit of a line", l.Quantity, maxQuantity)
	}
	if l.At, err = r.time(field(colDate)); err != nil {
		return l, err
	}
	if l.Customer, err = customer(field(colCustomer)); err != nil {
		return l, err
	}
	l.Customer = r.keep(l.Customer)
	l.Country = r.keep(field(colCountry))

	price, err := parsePrice(field(colPrice))
	if err != nil {
		return l, err
	}
	if price.negative && l.Kind != Adjustment {
		return l, fmt.Errorf("UnitPrice %q is negative", field(colPrice))
	}
	if l.Skip = l.skip(price); l.Skip != Kept {
		return l, nil
	}
	if !price.exact {
		return l, fmt.Errorf("UnitPrice %q of product %s has a fraction of a penny", field(colPrice), l.Code)
	}
	l.Price = price.pence
	return l, nil
}

func (l Line) skip(p price) Skip {
	switch {
	case l.Kind == Adjustment:
		return SkipAdjustment
	case !isProduct(l.Code):
		return SkipNoProduct
	case l.Description == "":
		return SkipNoDescription
	case p.zero:
		return SkipNoPrice
	case l.Kind == Sale && l.Quantity <= 0, l.Kind == Cancellation && l.Quantity >= 0:
		return SkipQuantity
	default:
		return Kept
	}
}

// keep returns one copy of equal strings, so that a line held does not hold the
// record that it was cut from.
func (r *Reader) keep(s string) string {
	if k, ok := r.intern[s]; ok {
		return k
	}
	s = strings.Clone(s)
	r.intern[s] = s
	return s
}

func (r *Reader) time(s string) (time.Time, error) {
	if s == r.date && s != "" {
		return r.at, nil
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			r.date, r.at = strings.Clone(s), t
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("InvoiceDate %q is not like 2010-12-01 08:26:00", s)
}

// kindOf reads the prefix of an invoice's number.
func kindOf(invoice string) (Kind, error) {
	kind, digits := Sale, invoice
	if strings.HasPrefix(invoice, "C") {
		kind, digits = Cancellation, invoice[1:]
	} else if strings.HasPrefix(invoice, "A") {
		kind, digits = Adjustment, invoice[1:]
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("InvoiceNo %q is not a number, or one with C or A before it", invoice)
	}
	return kind, nil
}

// isProduct says whether a stock code in upper case is a product's: five digits
// and up to two letters.
func isProduct(code string) bool {
	if len(code) < 5 || len(code) > 7 {
		return false
	}
	for i := range len(code) {
		c := code[i]
		if i < 5 && (c < '0' || c > '9') || i >= 5 && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// customer cuts the fraction that a spreadsheet gave the number: "17850.0".
func customer(s string) (string, error) {
	s = strings.TrimSuffix(s, ".0")
	if strings.Trim(s, "0123456789") != "" {
		return "", fmt.Errorf("CustomerID %q is not a number", s)
	}
	return s, nil
}

// price is a price in words that the rules ask for.
type price struct {
	pence          int64
	exact          bool // pence is the whole price
	zero, negative bool
}

// maxQuantity is far above any quantity of a line, in units (the set has 80,995),
// and so small that no sum of a file overflows.
const maxQuantity = 10_000_000

// maxPrice is far above any price of a giftware shop, in pounds.
const maxPrice = 1_000_000

// parsePrice reads a decimal number of pounds.
func parsePrice(s string) (p price, err error) {
	bad := func() (price, error) { return price{}, fmt.Errorf("UnitPrice %q is not a price", s) }
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return bad()
	}
	pounds, err := strconv.ParseInt("0"+whole, 10, 64)
	if err != nil || pounds > maxPrice {
		return bad()
	}
	fraction += "00"
	pence, rest := fraction[:2], fraction[2:]
	p.pence = pounds*100 + int64(pence[0]-'0')*10 + int64(pence[1]-'0')
	p.exact = strings.Trim(rest, "0") == ""
	p.zero = p.pence == 0 && p.exact
	p.negative = negative && !p.zero
	return p, nil
}

// Read reads a whole file and groups its lines by invoice.
func Read(r io.Reader) (*Invoices, error) {
	lines, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	var g grouper
	for {
		l, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return g.finish(), nil
		}
		if err == nil {
			err = g.add(l)
		}
		if err != nil {
			return nil, err
		}
	}
}

// ReadFile reads a file, plain or compressed by gzip. Errors name it.
func ReadFile(path string) (*Invoices, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	invoices, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return invoices, nil
}
