package postgres

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// Listings are the one place where SQL is put together at run time: a statement
// that has every filter and order as "or not given" would be planned for all of
// them at once and could use no index for any. Values are always arguments.

// closeness is the share of a word's trigrams that a similar word must have
// ("lanturn" has 0.62 of those of "lantern", "dool" 0.4 of "doll").
const closeness = "0.4"

// closeWords is how many words of a misspelled query are compared.
const closeWords = 8

const productColumns = `p.id, p.code, p.name, p.description, p.category, p.popularity, p.version, p.updated_at,
       v.sku, v.name AS variant_name, v.price, v.currency,
       s.total, s.held, s.committed, s.version AS stock_version, s.updated_at AS stock_updated_at`

// listRow is a productRow with the sort key of its product.
type listRow struct {
	productRow
	Key  int64
	Text string
}

// List implements app.Reader.
func (s *Store) List(ctx context.Context, l domain.Listing) (domain.Page, error) {
	match, err := s.match(ctx, l)
	if err != nil {
		return domain.Page{}, err
	}
	words := similarWords(l.Filter.Query)
	if match == domain.MatchClose && len(words) == 0 {
		return emptyPage(l), nil
	}
	page, facets := query{listing: l, match: match, words: words}, query{listing: l, match: match, words: words}
	var found domain.Page
	err = s.atomically(ctx, func(b *pgx.Batch) {
		if match == domain.MatchClose {
			b.Queue("SELECT set_config('pg_trgm.word_similarity_threshold', $1, true)", closeness)
		}
		sql := page.page()
		b.Queue(sql, page.args...)
		if l.Facets {
			sql := facets.facets()
			b.Queue(sql, facets.args...)
		}
	}, func(r pgx.BatchResults) (err error) {
		if match == domain.MatchClose {
			if _, err := r.Exec(); err != nil {
				return fmt.Errorf("set similarity: %w", err)
			}
		}
		rows, err := readRows[listRow](r)
		if err != nil {
			return fmt.Errorf("list products: %w", err)
		}
		found = cut(rows, l.Size, match)
		if l.Facets {
			if found.Facets, err = readFacets(r); err != nil {
				return fmt.Errorf("count facets: %w", err)
			}
		}
		return nil
	})
	return found, err
}

// match decides how words are compared: as they are if any product has them,
// else by similarity. The filter has no part in it.
func (s *Store) match(ctx context.Context, l domain.Listing) (domain.Match, error) {
	switch {
	case l.Filter.Query == "":
		return domain.MatchAll, nil
	case l.After != nil:
		return l.After.Match, nil
	}
	q := query{listing: l, match: domain.MatchWords}
	sql := "SELECT EXISTS (SELECT FROM product_search f WHERE " + q.matches() + ")"
	var exists bool
	if err := s.pool.QueryRow(ctx, sql, q.args...).Scan(&exists); err != nil {
		return "", fmt.Errorf("look for words: %w", err)
	}
	if exists {
		return domain.MatchWords, nil
	}
	return domain.MatchClose, nil
}

// query builds one statement of a listing. Build it once.
type query struct {
	listing domain.Listing
	match   domain.Match
	words   []string
	args    []any
}

func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

// from is the products and, with a query, their search row.
func (q *query) from() string {
	if q.match == domain.MatchAll {
		return "products p"
	}
	return "products p JOIN product_search f ON f.product_id = p.id"
}

// matches is the condition that the query puts on product_search f.
func (q *query) matches() string {
	if q.match == domain.MatchWords {
		return "f.document @@ " + q.tsquery()
	}
	conditions := make([]string, len(q.words))
	for i, w := range q.words {
		conditions[i] = q.arg(w) + "::text <% f.words"
	}
	return strings.Join(conditions, " AND ")
}

// tsquery has the words in English grammar; a single word may also be a code,
// which has none.
func (q *query) tsquery() string {
	text := q.arg(q.listing.Filter.Query)
	if len(strings.Fields(q.listing.Filter.Query)) > 1 {
		return fmt.Sprintf("websearch_to_tsquery('english', %s)", text)
	}
	return fmt.Sprintf("(websearch_to_tsquery('english', %[1]s) || plainto_tsquery('simple', %[1]s))", text)
}

// score is the relevance as an integer, so that a cursor can hold it: the exact
// code first, then how well the words match, in thousandths, then popularity.
func (q *query) score() string {
	var rank string
	if q.match == domain.MatchWords {
		rank = "ts_rank(f.document, " + q.tsquery() + ")"
	} else {
		sum := make([]string, len(q.words))
		for i, w := range q.words {
			sum[i] = "word_similarity(" + q.arg(w) + ", f.words)"
		}
		rank = fmt.Sprintf("(%s) / %d", strings.Join(sum, " + "), len(q.words))
	}
	code := q.arg(strings.ToUpper(strings.TrimSpace(q.listing.Filter.Query)))
	return fmt.Sprintf("(CASE WHEN %s::text = ANY (f.codes) THEN 1000000000000000 ELSE 0 END"+
		" + (1000 * (%s))::bigint * 100000000000 + least(p.popularity, 99999999999))::bigint", code, rank)
}

const hasStock = "EXISTS (SELECT FROM stock k WHERE k.product_id = p.id AND k.total - k.held - k.committed > 0)"

// key is the sort key of an order: its expression, its type and its direction.
// The newest are found by the id alone.
func (q *query) key() (expression, kind, direction string) {
	switch q.listing.Sort {
	case domain.SortRelevance:
		return q.score(), "bigint", "DESC"
	case domain.SortPopularity:
		return "p.popularity", "bigint", "DESC"
	case domain.SortPriceAsc:
		return "p.price", "bigint", "ASC"
	case domain.SortPriceDesc:
		return "p.price", "bigint", "DESC"
	case domain.SortName:
		return "p.sort_name", "text", "ASC"
	case domain.SortNewest:
		return "", "", "DESC"
	}
	panic(fmt.Sprintf("no such order of products: %d", q.listing.Sort))
}

// page is the statement of a page and one product more, which tells whether
// there is another page.
func (q *query) page() string {
	f := q.listing.Filter
	var where []string
	if q.match != domain.MatchAll {
		where = append(where, q.matches())
	}
	if f.Category != "" {
		where = append(where, "p.category = "+q.arg(f.Category))
	}
	if f.MinPrice != nil {
		where = append(where, "p.price >= "+q.arg(*f.MinPrice))
	}
	if f.MaxPrice != nil {
		where = append(where, "p.price <= "+q.arg(*f.MaxPrice))
	}
	if f.InStock {
		where = append(where, hasStock)
	}
	key, kind, direction := q.key()
	order := "id " + direction
	columns := "p.id"
	if key != "" {
		order = fmt.Sprintf("key %s, id %s", direction, direction)
		columns = "p.id, " + key + " AS key"
	}
	if at := q.listing.After; at != nil {
		than := map[string]string{"ASC": ">", "DESC": "<"}[direction]
		switch kind {
		case "":
			where = append(where, fmt.Sprintf("p.id %s %s", than, q.arg(at.ID)))
		case "text":
			where = append(where, fmt.Sprintf("(%s, p.id) %s (%s, %s)", key, than, q.arg(at.Text), q.arg(at.ID)))
		default:
			where = append(where, fmt.Sprintf("(%s, p.id) %s (%s::bigint, %s::uuid)", key, than, q.arg(at.Key), q.arg(at.ID)))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "WITH page AS (\n    SELECT %s FROM %s", columns, q.from())
	if len(where) > 0 {
		fmt.Fprintf(&b, "\n    WHERE %s", strings.Join(where, "\n      AND "))
	}
	fmt.Fprintf(&b, "\n    ORDER BY %s LIMIT %s\n)\n", order, q.arg(q.listing.Size+1))
	keys := map[string]string{"": "0::bigint, ''", "bigint": "page.key, ''", "text": "0::bigint, page.key"}[kind]
	fmt.Fprintf(&b, "SELECT %s, %s\nFROM page JOIN products p ON p.id = page.id JOIN variants v ON v.product_id = p.id JOIN stock s ON s.sku = v.sku\n",
		productColumns, keys)
	fmt.Fprintf(&b, "ORDER BY page.%s, v.price, v.sku", strings.Replace(order, ", ", ", page.", 1))
	return b.String()
}

// cut makes a page of the rows of size+1 products.
func cut(rows []listRow, size int, match domain.Match) domain.Page {
	plain := make([]productRow, len(rows))
	last := map[string]*listRow{}
	for i := range rows {
		plain[i] = rows[i].productRow
		last[rows[i].ID] = &rows[i]
	}
	page := domain.Page{Products: assemble(plain)}
	if len(page.Products) > size {
		page.Products = page.Products[:size]
		row := last[page.Products[size-1].ID]
		page.Next = &domain.Position{Match: match, Key: row.Key, Text: row.Text, ID: row.ID}
	}
	return page
}

// similarWords are the words of a query that are compared by their trigrams:
// the longer ones, for two letters look like anything.
func similarWords(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	long := make([]string, 0, len(words))
	for _, w := range words {
		if len([]rune(w)) >= 3 {
			long = append(long, w)
		}
	}
	if len(long) == 0 {
		long = words
	}
	return long[:min(len(long), closeWords)]
}

func emptyPage(l domain.Listing) domain.Page {
	if l.Facets {
		return domain.Page{Facets: &domain.Facets{}}
	}
	return domain.Page{}
}
