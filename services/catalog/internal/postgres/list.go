package postgres

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// Listings are the one place where SQL is put together at run time: a statement
// that has every filter and order as "or not given" would be planned for all of
// them at once and could use no index for any. Values are always arguments.

const productColumns = `p.id, p.code, p.name, p.description, p.category, p.state, p.popularity, p.version, p.revision, p.updated_at,
       v.sku, v.name AS variant_name, v.price, v.currency, v.state AS variant_state,
       s.total, s.held, s.committed, s.version AS stock_version, s.revision AS stock_revision, s.updated_at AS stock_updated_at`

// listRow is a productRow with the sort key of its product.
type listRow struct {
	productRow
	Key  int64
	Text []byte
}

// List implements app.Reader.
func (s *Store) List(ctx context.Context, l domain.Listing) (domain.Page, error) {
	if l.Filter.State != "" {
		return s.listState(ctx, l)
	}
	if l.Filter.Query == "" {
		return s.listAll(ctx, l)
	}
	found, counts, err := s.read(ctx, l)
	if err != nil {
		return domain.Page{}, err
	}
	if found.empty() {
		return emptyPage(l), nil
	}
	page, err := s.listFound(ctx, l, &found)
	if err != nil {
		return domain.Page{}, err
	}
	if len(page.Products) == 0 && l.After == nil && !l.Filter.Exact && !found.byCode() {
		corrected, ok, err := s.correct(ctx, l, found, counts)
		if err != nil {
			return domain.Page{}, err
		}
		if ok {
			found = corrected
			if page, err = s.listFound(ctx, l, &found); err != nil {
				return domain.Page{}, err
			}
		}
	}
	if found.corrected {
		page.SearchedFor = found.query.String()
	}
	if l.Facets {
		page.Facets, err = s.countFound(ctx, l, &found)
	}
	return page, err
}

// listAll is a listing without a query.
func (s *Store) listAll(ctx context.Context, l domain.Listing) (domain.Page, error) {
	var found domain.Page
	err := s.ask(ctx, func(b *pgx.Batch) {
		q := query{listing: l}
		sql := q.page(domain.AllShelves)
		b.Queue(sql, q.args...)
	}, func(r pgx.BatchResults) error {
		rows, err := readRows[listRow](r)
		if err != nil {
			return fmt.Errorf("list products: %w", err)
		}
		found = cut(rows, l.Size, domain.Position{Match: domain.MatchAll})
		return nil
	})
	if err == nil && l.Facets {
		found.Facets, err = s.countAll(ctx, l)
	}
	return found, err
}

// listFound is a page of what a search finds: window by window, until the page is full.
func (s *Store) listFound(ctx context.Context, l domain.Listing, found *search) (domain.Page, error) {
	window := domain.AllShelves
	switch {
	case l.After != nil:
		window = l.After.Window
	case l.Sort == domain.SortRelevance:
		window = found.expected.FirstWindow(wantedRanked)
	}
	at := domain.Position{Match: domain.MatchWords}
	if found.corrected {
		at.Match, at.Query = domain.MatchClose, found.query.String()
	}
	var whole domain.Page
	for more := true; more; window, more = window.Next() {
		part := l
		part.Size = l.Size - len(whole.Products)
		var rows []listRow
		err := s.ask(ctx, func(b *pgx.Batch) {
			q := query{listing: part, search: found}
			plan(b)
			sql := q.page(window)
			b.Queue(sql, q.args...)
		}, func(r pgx.BatchResults) (err error) {
			if _, err := r.Exec(); err != nil {
				return fmt.Errorf("set planner: %w", err)
			}
			rows, err = readRows[listRow](r)
			return err
		})
		if err != nil {
			return domain.Page{}, fmt.Errorf("list products: %w", err)
		}
		at.Window = window
		page := cut(rows, part.Size, at)
		if part.Size == 0 {
			if len(rows) > 0 { // the page was full, and there is more
				return whole, nil
			}
			continue
		}
		whole.Products = append(whole.Products, page.Products...)
		if whole.Next = page.Next; whole.Next != nil {
			return whole, nil
		}
		if len(page.Products) > 0 {
			whole.Next = position(rows, page.Products, at)
		}
		l.After = nil
	}
	whole.Next = nil
	return whole, nil
}

// query builds one statement of a listing. Build it once.
type query struct {
	listing domain.Listing
	search  *search // nil without a query
	args    []any
}

func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

// source is where a page's products are looked for: the tables, what the query asks
// of them, the product's id there, and the table that has its category and price.
type source struct{ from, matches, id, table string }

// source is the products and, with a query, their search entries; those alone have
// all that relevance needs. Where few products have the words, they are found
// first: to go through all products in their order until a page is full would be
// to go through all of them.
func (q *query) source(window domain.Window) source {
	switch {
	case q.search == nil:
		return source{from: "products p", id: "p.id", table: "p"}
	case q.listing.Sort == domain.SortRelevance:
		return source{"search_entries f", q.matches(window), "f.product_id", "f"}
	case q.search.expected.Most <= domain.MaxRanked:
		return source{from: "(SELECT f.product_id FROM search_entries f WHERE " + q.matches(window) + " OFFSET 0) f JOIN products p ON p.id = f.product_id", id: "p.id", table: "p"}
	}
	return source{"products p JOIN search_entries f ON f.product_id = p.id", q.matches(window), "p.id", "p"}
}

// matches is the condition that the query puts on search_entries f: its words, on
// the shelves of a window. What was found by its code comes with the first one.
func (q *query) matches(w domain.Window) string {
	var conditions []string
	if len(q.search.query.Terms) > 0 {
		has := "f.document @@ " + q.tsquery(tsquery(q.search.query, ""))
		// As the indexes of shelves are: the planner has to see that they have all.
		if w.To < domain.LastShelf {
			has += fmt.Sprintf(" AND f.shelf <= %d", w.To)
		}
		if w.From > 0 {
			has += fmt.Sprintf(" AND f.shelf >= %d", w.From)
		}
		conditions = append(conditions, "("+has+")")
	}
	ids := slices.Concat(q.search.codes, q.search.prefixes)
	switch {
	case len(ids) == 0:
	case w.From == 0:
		conditions = append(conditions, "f.product_id = ANY ("+q.arg(ids)+"::uuid[])")
	default:
		return strings.Join(conditions, " OR ") + " AND f.product_id <> ALL (" + q.arg(ids) + "::uuid[])"
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}

func (q *query) tsquery(text string) string { return q.arg(text) + "::text::tsquery" }

// score is the relevance as an integer, so that a cursor can hold it: how well the
// words match, then what is in stock, then popularity.
func (q *query) score() string {
	found := q.search
	var b strings.Builder
	b.WriteString("(CASE")
	when := func(rank int, condition string) { fmt.Fprintf(&b, " WHEN %s THEN %d", condition, rank) }
	if len(found.codes) > 0 {
		when(7, "f.product_id = ANY ("+q.arg(found.codes)+"::uuid[])")
	}
	if terms := found.query; len(terms.Terms) > 0 {
		when(6, "f.document @@ "+q.tsquery(quote(terms.Whole())))
		if phrase := adjacent(terms); phrase != "" {
			when(5, "f.document @@ "+q.tsquery(phrase))
		}
		when(4, "f.document @@ "+q.tsquery(tsquery(terms, "A")))
		when(3, "f.document @@ "+q.tsquery(tsquery(terms, "AB")))
	}
	b.WriteString(" ELSE 1 END")
	return b.String() + "::bigint * 2 + f.in_stock::int) * 100000000000 + least(f.popularity, 99999999999)"
}

var likeEscapes = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

const hasStock = "EXISTS (SELECT FROM stock k WHERE k.product_id = %s AND k.sellable AND k.total - k.held - k.committed > 0)"

// key is the sort key of an order: its expression, its type and its direction.
// The newest are found by the id alone.
func (q *query) key() (expression, kind, direction string) {
	switch q.listing.Sort {
	case domain.SortRelevance:
		if q.search == nil {
			break
		}
		return q.score(), "bigint", "DESC"
	case domain.SortPopularity:
		return "p.popularity", "bigint", "DESC"
	case domain.SortPriceAsc:
		return "p.price", "bigint", "ASC"
	case domain.SortPriceDesc:
		return "p.price", "bigint", "DESC"
	case domain.SortName:
		return "p.sort_key", "bytea", "ASC"
	case domain.SortNewest:
		return "", "", "DESC"
	}
	panic(fmt.Sprintf("no such order of products: %d", q.listing.Sort))
}

// page is the statement of a page and one product more, which tells whether
// there is another page.
func (q *query) page(window domain.Window) string {
	f, in := q.listing.Filter, q.source(window)
	var where []string
	switch {
	case f.State != "":
		where = append(where, "p.state = "+q.arg(string(f.State)))
		if f.State != domain.Active {
			where = append(where, "NOT p.listed") // as the index is
		}
		if f.Query != "" {
			where = append(where, fmt.Sprintf("(starts_with(p.code, %s) OR p.name ILIKE %s)", q.arg(strings.ToUpper(f.Query)), q.arg("%"+likeEscapes.Replace(f.Query)+"%")))
		}
	case in.table == "p":
		where = append(where, "p.listed")
	}
	if in.matches != "" {
		where = append(where, in.matches)
	}
	if f.Category != "" {
		where = append(where, in.table+".category = "+q.arg(f.Category))
	}
	if f.MinPrice != nil {
		where = append(where, in.table+".price >= "+q.arg(*f.MinPrice))
	}
	if f.MaxPrice != nil {
		where = append(where, in.table+".price <= "+q.arg(*f.MaxPrice))
	}
	if f.InStock {
		where = append(where, fmt.Sprintf(hasStock, in.id))
	}
	key, kind, direction := q.key()
	order := "id " + direction
	columns := in.id + " AS id"
	if key != "" {
		order = fmt.Sprintf("key %s, id %s", direction, direction)
		columns += ", " + key + " AS key"
	}
	if at := q.listing.After; at != nil {
		than := map[string]string{"ASC": ">", "DESC": "<"}[direction]
		switch kind {
		case "":
			where = append(where, fmt.Sprintf("%s %s %s", in.id, than, q.arg(at.ID)))
		case "bytea":
			where = append(where, fmt.Sprintf("(%s, %s) %s (%s::bytea, %s::uuid)", key, in.id, than, q.arg(sortKey(at.Text)), q.arg(at.ID)))
		default:
			where = append(where, fmt.Sprintf("(%s, %s) %s (%s::bigint, %s::uuid)", key, in.id, than, q.arg(at.Key), q.arg(at.ID)))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "WITH page AS (\n    SELECT %s FROM %s", columns, in.from)
	if len(where) > 0 {
		fmt.Fprintf(&b, "\n    WHERE %s", strings.Join(where, "\n      AND "))
	}
	fmt.Fprintf(&b, "\n    ORDER BY %s LIMIT %s\n)\n", order, q.arg(q.listing.Size+1))
	keys := map[string]string{"": "0::bigint, ''::bytea", "bigint": "page.key, ''::bytea", "bytea": "0::bigint, page.key"}[kind]
	fmt.Fprintf(&b, "SELECT %s, %s\nFROM page JOIN products p ON p.id = page.id JOIN variants v ON v.product_id = p.id JOIN stock s ON s.sku = v.sku\n",
		productColumns, keys)
	fmt.Fprintf(&b, "ORDER BY page.%s, v.price, v.sku", strings.Replace(order, ", ", ", page.", 1))
	return b.String()
}

// cut makes a page of the rows of size+1 products; at is what a position has beside
// its place.
func cut(rows []listRow, size int, at domain.Position) domain.Page {
	plain := make([]productRow, len(rows))
	for i := range rows {
		plain[i] = rows[i].productRow
	}
	page := domain.Page{Products: assemble(plain)}
	if len(page.Products) > size {
		page.Products = page.Products[:size]
		if size > 0 {
			page.Next = position(rows, page.Products, at)
		}
	}
	return page
}

// position is that of the last of the products, which are of the rows.
func position(rows []listRow, products []domain.Product, at domain.Position) *domain.Position {
	at.ID = products[len(products)-1].ID
	for _, r := range rows {
		if r.ID == at.ID {
			at.Key, at.Text = r.Key, base64.RawStdEncoding.EncodeToString(r.Text)
			break
		}
	}
	return &at
}

// sortKey is the key of a position's text. What is none is some place, too.
func sortKey(text string) []byte {
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return []byte(text)
	}
	return key
}

func emptyPage(l domain.Listing) domain.Page {
	if l.Facets {
		return domain.Page{Facets: &domain.Facets{}}
	}
	return domain.Page{}
}
