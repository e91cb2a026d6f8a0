package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain/words"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg"
)

// reindexBatch is how many products one transaction derives again.
const reindexBatch = 500

// index writes the search entries of listed products, deletes those of others, and
// counts their words. The caller holds the lock of the catalog.
func index(ctx context.Context, q *db.Queries, ids []string) error {
	sources, err := q.IndexSources(ctx, ids)
	if err != nil {
		return fmt.Errorf("read what to index: %w", err)
	}
	var entries db.WriteEntriesParams
	deltas := map[string]int64{}
	for _, s := range sources {
		doc := words.Index(words.Product{
			Name: s.Name, Description: s.Description, Variants: s.Names, Codes: append([]string{s.Code}, s.Skus...),
		})
		for _, w := range s.Words {
			deltas[w]--
		}
		for _, w := range doc.Words {
			deltas[w]++
		}
		entries.Ids = append(entries.Ids, s.ID)
		entries.Documents = append(entries.Documents, tsvector(doc.Lexemes))
		entries.Words = append(entries.Words, strings.Join(doc.Words, " "))
		entries.Categories = append(entries.Categories, s.Category)
		entries.Prices = append(entries.Prices, s.Price)
		entries.InStocks = append(entries.InStocks, s.InStock)
		entries.Popularities = append(entries.Popularities, s.Popularity)
	}
	unlisted, err := q.UnlistedEntries(ctx, ids)
	if err != nil {
		return fmt.Errorf("look for what is no longer listed: %w", err)
	}
	gone := make([]string, len(unlisted))
	for i, s := range unlisted {
		gone[i] = s.ProductID
		for _, w := range s.Words {
			deltas[w]--
		}
	}
	if err := q.DeleteEntries(ctx, gone); err != nil {
		return fmt.Errorf("delete search entries: %w", err)
	}
	if err := q.WriteEntries(ctx, entries); err != nil {
		return fmt.Errorf("write search entries: %w", err)
	}
	var count db.CountWordsParams
	var fewer []string
	for _, w := range slices.Sorted(maps.Keys(deltas)) {
		n := deltas[w]
		if n == 0 {
			continue
		}
		if n < 0 {
			fewer = append(fewer, w)
		}
		count.Words, count.Deltas = append(count.Words, w), append(count.Deltas, n)
		count.Stems = append(count.Stems, words.Stem(w))
		count.Keys = append(count.Keys, strings.Join(words.Keys(w), " "))
	}
	if err := q.CountWords(ctx, count); err != nil {
		return fmt.Errorf("count words: %w", err)
	}
	if err := q.ForgetWords(ctx, fewer); err != nil {
		return fmt.Errorf("forget words: %w", err)
	}
	return nil
}

// Reindex derives again what earlier rules derived from text, a batch a call, and
// returns how many products it was.
func (s *Store) Reindex(ctx context.Context) (n int, err error) {
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		n, err = reindex(ctx, s.q.WithTx(tx))
		return err
	})
	return n, err
}

func reindex(ctx context.Context, q *db.Queries) (int, error) {
	find := db.StaleProductsParams{Edition: words.Edition, MaxProducts: 1}
	stale, err := q.StaleProducts(ctx, find)
	if err != nil || len(stale) == 0 {
		return 0, err
	}
	if err := q.LockCatalog(ctx); err != nil {
		return 0, fmt.Errorf("lock catalog: %w", err)
	}
	find.MaxProducts = reindexBatch // with the names that they have now
	if stale, err = q.StaleProducts(ctx, find); err != nil {
		return 0, err
	}
	keys := db.SetSortKeysParams{Edition: words.Edition}
	for _, p := range stale {
		keys.Ids, keys.SortKeys = append(keys.Ids, p.ID), append(keys.SortKeys, words.SortKey(p.Name))
	}
	if err := q.SetSortKeys(ctx, keys); err != nil {
		return 0, fmt.Errorf("set sort keys: %w", err)
	}
	return len(stale), index(ctx, q, keys.Ids)
}

// tsvector writes lexemes as PostgreSQL reads them.
func tsvector(lexemes map[string][]words.Place) string {
	var b strings.Builder
	for _, l := range slices.Sorted(maps.Keys(lexemes)) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quote(l))
		for i, p := range lexemes[l] {
			if i == 0 {
				b.WriteByte(':')
			} else {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Itoa(p.Position))
			b.WriteByte(byte(p.Weight))
		}
	}
	return b.String()
}

// tsquery writes what must be in a document: every term of a query, or its other
// spellings. weights narrows where ("A", "AB"; "" for anywhere).
func tsquery(q words.Query, weights string) string {
	all := make([]string, 0, len(q.Terms)+len(q.Without))
	for _, t := range q.Terms {
		all = append(all, termQuery(t, weights))
	}
	for _, t := range q.Without {
		all = append(all, "!"+termQuery(t, ""))
	}
	return strings.Join(all, " & ")
}

func termQuery(t words.Term, weights string) string {
	suffix := ""
	if weights != "" {
		suffix = ":" + weights
	}
	and := func(lexemes []string, operator func(i int) string) string {
		var b strings.Builder
		for i, l := range lexemes {
			if i > 0 {
				b.WriteString(operator(i))
			}
			b.WriteString(quote(l) + suffix)
		}
		return "(" + b.String() + ")"
	}
	every := func(int) string { return " & " }
	operator := every
	if t.Phrase != nil {
		operator = func(i int) string { return " <" + strconv.Itoa(t.Phrase[i]-t.Phrase[i-1]) + "> " }
	}
	alternatives := []string{and(t.All, operator)}
	for _, o := range t.Or {
		alternatives = append(alternatives, and(o, every))
	}
	for _, j := range t.Joins {
		alternatives = append(alternatives, quote(j)+suffix)
	}
	return "(" + strings.Join(alternatives, " | ") + ")"
}

// adjacent is the query for the terms side by side in a name, or two as one word;
// "" for one that has a single word, or more than words.
func adjacent(q words.Query) string {
	if len(q.Terms) < 2 || len(q.Without) > 0 {
		return ""
	}
	parts := make([]string, len(q.Terms))
	for i, t := range q.Terms {
		if len(t.All) != 1 || len(t.Or) > 0 {
			return ""
		}
		parts[i] = quote(t.All[0]) + ":A"
	}
	phrase := "(" + strings.Join(parts, " <-> ") + ")"
	if joins := q.Terms[0].Joins; len(q.Terms) == 2 && len(joins) == 1 {
		phrase += " | " + quote(joins[0]) + ":A"
	}
	return phrase
}

var escapes = strings.NewReplacer(`'`, `''`, `\`, `\\`)

// quote writes a lexeme so that it is taken byte for byte.
func quote(lexeme string) string { return "'" + escapes.Replace(lexeme) + "'" }

func compareKeys(a, b string) int {
	return cmp.Or(slices.Compare(words.SortKey(a), words.SortKey(b)), strings.Compare(a, b))
}
