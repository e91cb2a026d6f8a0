package pg

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// tracer names the spans of statements by their summaries, as the semantic conventions for
// databases have it: otelpgx names them by the first word alone.
type tracer struct {
	*otelpgx.Tracer
	summaries *summaries
}

func newTracer(tel *telemetry.Telemetry) tracer {
	s := &summaries{}
	return tracer{otelpgx.NewTracer(
		otelpgx.WithTracerProvider(tel.Tracers),
		otelpgx.WithMeterProvider(tel.Meters),
		otelpgx.WithSpanNameFunc(s.of),
	), s}
}

// TraceQueryStart implements pgx.QueryTracer.
func (t tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	ctx = t.Tracer.TraceQueryStart(ctx, conn, data)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		summary := t.summaries.of(data.SQL)
		operation, _, _ := strings.Cut(summary, " ")
		span.SetAttributes(attribute.String("db.query.summary", summary), attribute.String("db.operation.name", operation))
	}
	return ctx
}

// summaries remembers those of statements, of which a process has a few hundred.
type summaries struct {
	known sync.Map
	count atomic.Int64
}

// maxSummaries bounds what is remembered where statements are built.
const maxSummaries = 2000

func (s *summaries) of(sql string) string {
	if known, ok := s.known.Load(sql); ok {
		return known.(string)
	}
	summary := summarize(sql)
	if s.count.Load() < maxSummaries {
		s.count.Add(1)
		s.known.Store(sql, summary)
	}
	return summary
}

// maxSummary is the length that the conventions recommend as the limit.
const maxSummary = 255

// summarize names what a statement does and to which tables, in its order, without values:
// "INSERT orders SELECT carts". See "Generating a summary of the query" of the semantic
// conventions for databases. A statement that is neither of the four is its first word.
func summarize(sql string) string {
	words := tokens(sql)
	local := map[string]bool{} // names of common table expressions
	for i := 0; i+2 < len(words); i++ {
		if strings.EqualFold(words[i+1], "AS") && (words[i+2] == "(" || strings.HasSuffix(strings.ToUpper(words[i+2]), "MATERIALIZED") || strings.EqualFold(words[i+2], "NOT")) {
			local[words[i]] = true
		}
	}
	var out []string
	var opened []string // what stands before each open parenthesis
	last := ""          // the word before, in upper case
	for i, word := range words {
		upper := strings.ToUpper(word)
		switch upper {
		case "(":
			opened = append(opened, last)
		case ")":
			opened = opened[:max(0, len(opened)-1)]
		case "SELECT", "INSERT", "DELETE", "MERGE":
			out = appendOnce(out, upper)
		case "UPDATE":
			if last != "FOR" && last != "DO" && last != "KEY" {
				out = appendOnce(out, upper)
				out = appendTable(out, words[i+1:], local)
			}
		case "FROM", "JOIN", "INTO":
			if last != "DISTINCT" && (len(opened) == 0 || !takesFrom[opened[len(opened)-1]]) {
				out = appendTable(out, words[i+1:], local)
			}
		}
		last = upper
	}
	if len(out) == 0 {
		if len(words) == 0 {
			return "UNKNOWN"
		}
		return strings.ToUpper(words[0])
	}
	for len(out) > 1 && len(strings.Join(out, " ")) > maxSummary {
		out = out[:len(out)-1]
	}
	return strings.Join(out, " ")
}

// takesFrom are functions whose arguments have the word FROM.
var takesFrom = map[string]bool{"EXTRACT": true, "SUBSTRING": true, "TRIM": true, "OVERLAY": true}

// appendTable appends the table that words begin with, if they do.
func appendTable(out, words []string, local map[string]bool) []string {
	for len(words) > 0 && (strings.EqualFold(words[0], "ONLY") || strings.EqualFold(words[0], "LATERAL")) {
		words = words[1:]
	}
	if len(words) == 0 || words[0] == "(" || local[words[0]] || len(words) > 1 && words[1] == "(" && !hasInto(out) {
		return out
	}
	return appendOnce(out, words[0])
}

// appendOnce appends a word unless it is the last already.
func appendOnce(out []string, word string) []string {
	if len(out) > 0 && out[len(out)-1] == word {
		return out
	}
	return append(out, word)
}

// hasInto reports whether an INSERT waits for its table, which a list of columns may follow: a
// function's name would have a parenthesis after it, too.
func hasInto(out []string) bool { return len(out) > 0 && out[len(out)-1] == "INSERT" }

// tokens are the words and parentheses of a statement, without comments, texts and numbers.
func tokens(sql string) (out []string) {
	for sql != "" {
		switch c := sql[0]; {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			_, sql, _ = strings.Cut(sql[2:], "*/")
		case c == '\'':
			_, sql, _ = strings.Cut(sql[1:], "'")
		case c == '(' || c == ')':
			out, sql = append(out, sql[:1]), sql[1:]
		case c == '$' || c >= '0' && c <= '9':
			sql = sql[1:]
		default:
			rest := strings.TrimLeftFunc(sql, inName)
			if rest == sql {
				_, size := utf8.DecodeRuneInString(sql)
				sql = sql[size:]
				continue
			}
			out, sql = append(out, strings.ReplaceAll(sql[:len(sql)-len(rest)], `"`, "")), rest
		}
	}
	return out
}

// inName reports whether a rune may be in the name of a table, with its schema.
func inName(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(`_."`, r)
}
