package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/domain/words"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
)

const (
	// maxCodes is how many products are found by the beginning of a code.
	maxCodes = 50
	// maxReadings is how many readings of a misspelled query are tried.
	maxReadings = 24
	// maxReading bounds the bytes of a reading: cursors carry it.
	maxReading = 200
	// closeWords is how many words are tried for a misspelled one.
	closeWords = 4
	// maxRuns is how many readings are tried of a run of characters without spaces.
	maxRuns = 8
	// wantedRanked is how many products a window of shelves should have at least.
	wantedRanked = 50
)

// search is how a query is carried out.
type search struct {
	query words.Query
	// corrected says that the query is not the one that was written.
	corrected bool
	// codes and prefixes are products by their code, and by its beginning.
	codes, prefixes []string
	// expected is how many products it may find.
	expected domain.Expected
}

// byCode tells whether products were found by their code.
func (s *search) byCode() bool { return len(s.codes)+len(s.prefixes) > 0 }

// empty tells whether there is nothing to look for.
func (s *search) empty() bool { return len(s.query.Terms) == 0 && !s.byCode() }

// read is the search for the query of a listing as it is written, or, on later
// pages, as it was read on the first.
func (s *Store) read(ctx context.Context, l domain.Listing) (search, map[string]int64, error) {
	found := search{query: words.Parse(l.Filter.Query)}
	code := l.Filter.Query
	if at := l.After; at != nil && at.Query != "" {
		found.query, found.corrected, code = words.Parse(at.Query), true, ""
	}
	counts, err := s.lookUp(ctx, &found, code)
	return found, counts, err
}

// correct is the most likely reading of a query that finds something, where nothing
// has the words as they are written; ok is false when none does, or the words as
// they are written find something but for the filter.
func (s *Store) correct(ctx context.Context, l domain.Listing, written search, counts map[string]int64) (_ search, ok bool, err error) {
	if narrowed(l.Filter) {
		matching, err := s.matching(ctx, []words.Query{written.query})
		if err != nil || matching[0] {
			return search{}, false, err
		}
	}
	readings, err := s.readings(ctx, written.query, counts)
	if err != nil {
		return search{}, false, err
	}
	asked, certain := readings, false
	if n := len(readings); n > 0 && known(readings[n-1]) {
		asked, certain = readings[:n-1], true
	}
	matching, err := s.matching(ctx, asked)
	if err != nil {
		return search{}, false, err
	}
	for i, matches := range append(matching, certain)[:len(readings)] {
		if matches {
			found := search{query: readings[i], corrected: true}
			_, err := s.lookUp(ctx, &found, "")
			return found, true, err
		}
	}
	return search{}, false, nil
}

// narrowed tells whether a filter asks for more than words.
func narrowed(f domain.Filter) bool {
	return f.Category != "" || f.MinPrice != nil || f.MaxPrice != nil || f.InStock
}

// lookUp finds the products whose code the text is, and counts those of each word.
func (s *Store) lookUp(ctx context.Context, found *search, text string) (map[string]int64, error) {
	code := strings.ToUpper(words.Fold(strings.TrimSpace(text)))
	var (
		counts []db.WordCountsRow
		codes  []db.ProductsOfCodeRow
	)
	err := s.ask(ctx, func(b *pgx.Batch) {
		b.Queue(db.WordCounts, found.query.Lexemes())
		b.Queue("SELECT coalesce(sum(products), 0)::bigint FROM listing_counts")
		if code != "" {
			b.Queue(db.ProductsOfCode, code, code+"\x7f", prefixes(code))
		}
	}, func(r pgx.BatchResults) (err error) {
		if counts, err = readRows[db.WordCountsRow](r); err != nil {
			return fmt.Errorf("count words: %w", err)
		}
		if err := r.QueryRow().Scan(&found.expected.Catalog); err != nil {
			return fmt.Errorf("count products: %w", err)
		}
		if code != "" {
			if codes, err = readRows[db.ProductsOfCodeRow](r); err != nil {
				return fmt.Errorf("find codes: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, c := range codes {
		if c.Rank == 0 {
			found.codes = append(found.codes, c.ID)
		} else {
			found.prefixes = append(found.prefixes, c.ID)
		}
	}
	byStem := make(map[string]int64, len(counts))
	for _, c := range counts {
		byStem[c.Stem] = c.Products
	}
	e := &found.expected
	if len(found.query.Terms) > 0 {
		e.Most = e.Catalog
	}
	share := 1.0
	for _, t := range found.query.Terms {
		n := min(productsOfTerm(t, byStem), e.Catalog)
		e.Most = min(e.Most, n)
		share *= float64(n) / float64(max(e.Catalog, 1))
	}
	e.Likely = int64(share * float64(e.Catalog))
	return byStem, nil
}

// prefixes is how many codes that begin so are of interest: none of what has no
// digit, or is too short to mean one.
func prefixes(code string) int {
	if len(code) < 3 || !strings.ContainsAny(code, "0123456789") {
		return 0
	}
	return maxCodes
}

// productsOfTerm is how many products have a term, at most.
func productsOfTerm(t words.Term, byStem map[string]int64) int64 {
	rarest := func(lexemes []string) int64 {
		n := byStem[lexemes[0]]
		for _, l := range lexemes[1:] {
			n = min(n, byStem[l])
		}
		return n
	}
	n := rarest(t.All)
	for _, o := range t.Or {
		n += rarest(o)
	}
	return n
}

// matching tells which of the queries have a product. It is asked for few of them:
// to find out costs as much as to find all.
func (s *Store) matching(ctx context.Context, queries []words.Query) ([]bool, error) {
	out := make([]bool, len(queries))
	if len(queries) == 0 {
		return out, nil
	}
	err := s.ask(ctx, func(b *pgx.Batch) {
		plan(b)
		for _, q := range queries {
			b.Queue("SELECT EXISTS (SELECT FROM search_entries f WHERE f.document @@ $1::text::tsquery)", tsquery(q, ""))
		}
	}, func(r pgx.BatchResults) error {
		if _, err := r.Exec(); err != nil {
			return fmt.Errorf("set planner: %w", err)
		}
		for i := range out {
			if err := r.QueryRow().Scan(&out[i]); err != nil {
				return fmt.Errorf("look for words: %w", err)
			}
		}
		return nil
	})
	return out, err
}

// plan has the statements that follow planned for their own words, through an
// index: a plan for any words, or for words that are never together, may read all
// products.
func plan(b *pgx.Batch) {
	b.Queue("SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'off', true)")
}

// reading is a query with what speaks against it.
type reading struct {
	query words.Query
	cost  int
}

// readings are what a query may have meant of which no product has all words, most
// likely first: words that no product has, and then the others, are taken for
// words that look alike; then words are left out.
func (s *Store) readings(ctx context.Context, written words.Query, counts map[string]int64) ([]words.Query, error) {
	choices, err := s.choices(ctx, written, counts)
	if err != nil {
		return nil, err
	}
	all := []reading{{query: words.Query{Without: written.Without}}}
	for i := range written.Terms {
		var longer []reading
		for _, r := range all {
			for cost, text := range choices[i] {
				next := r.query
				next.Terms = append(slices.Clone(next.Terms), words.Parse(text).Terms...)
				longer = append(longer, reading{next, r.cost + cost})
			}
			if len(written.Terms) > 1 {
				// Without the word: the more common it is, the less it is missed.
				longer = append(longer, reading{r.query, r.cost + 100})
			}
		}
		slices.SortStableFunc(longer, func(a, b reading) int { return a.cost - b.cost })
		all = longer[:min(len(longer), 4*maxReadings)]
	}
	queries := make([]words.Query, 0, maxReadings)
	seen := map[string]bool{written.String(): true}
	for _, r := range all {
		text := r.query.String()
		if len(r.query.Terms) == 0 || seen[text] || len(text) > maxReading || len(queries) == maxReadings {
			continue
		}
		seen[text] = true
		q := words.Parse(text)
		queries = append(queries, q)
		if known(q) {
			break
		}
	}
	return queries, nil
}

// known tells that a reading has products: it is a single word of the dictionary.
func known(q words.Query) bool { return len(q.Terms) == 1 && len(q.Without) == 0 && q.Terms[0].Plain }

// choices are the texts that each term may stand for, most likely first.
func (s *Store) choices(ctx context.Context, written words.Query, counts map[string]int64) ([][]string, error) {
	choices := make([][]string, len(written.Terms))
	for i, t := range written.Terms {
		known := productsOfTerm(t, counts) > 0
		if known || !t.Plain && !t.Run {
			choices[i] = []string{t.Text}
		}
		switch {
		case t.Run:
			choices[i] = append(choices[i], otherRuns(t.Text)...)
		case t.Plain && words.Keys(t.Text) != nil:
			rows, err := s.view.LookAlikes(ctx, words.Keys(t.Text))
			if err != nil {
				return nil, fmt.Errorf("find words that look alike: %w", err)
			}
			candidates := make([]words.Known, len(rows))
			for j, r := range rows {
				candidates[j] = words.Known{Word: r.Word, Products: r.Products}
			}
			choices[i] = append(choices[i], words.Closest(t.Text, candidates, closeWords)...)
		}
	}
	return choices, nil
}

// otherRuns leave out the last or the first character, which may be a particle, or
// take the run for two words.
func otherRuns(run string) []string {
	r := []rune(run)
	if len(r) < 3 {
		return nil
	}
	out := []string{string(r[:len(r)-1]), string(r[1:])}
	for at := 2; at+2 <= len(r) && len(out) < maxRuns; at++ {
		out = append(out, string(r[:at])+" "+string(r[at:]))
	}
	return out
}
