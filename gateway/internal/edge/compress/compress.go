// Package compress chooses the content coding of an answer and makes it.
//
// What many clients get (files, drawings, the shared pages and documents) is a
// Body: it is compressed once, well, when the first client asks for that coding.
// What one client gets is compressed in passing (Encode), quickly.
//
// Compression and secrets. The length of a compressed answer shows whether what
// the request wrote into it is like what else is in it: an attacker who can make a
// browser send requests and see their lengths guesses a secret letter by letter
// (BREACH, CVE-2013-3587). So an answer is compressed only if it does not hold
// both a secret and something that the request chose:
//
//   - Shared answers, the same for all, hold no secret. They may repeat a search.
//   - Personal answers to GET repeat nothing of the request.
//   - Answers to POST, PUT and DELETE repeat what was sent beside what is the
//     shopper's: they are never compressed. Nor is the checkout page, which holds
//     an order's idempotency key and address beside what was typed.
package compress

import (
	"net/http"
	"strconv"
	"strings"
)

// Coding is a content coding.
type Coding uint8

// The codings that are served. There are no others because every browser takes one
// of these.
const (
	Identity Coding = iota
	Gzip
	Brotli
	codings
)

// names are those of Content-Encoding, as header values that answers share;
// net/http does not change them.
var names = [codings][]string{Gzip: {"gzip"}, Brotli: {"br"}}

// MinSize is the size from which compression is worth its cost: what is smaller
// fits into one packet with its headers.
const MinSize = 1400

// Accepted is what a client takes.
type Accepted struct {
	// Kept is the coding that it likes best of what is compressed once, Passing of
	// what is compressed for it alone: where it likes two the same, brotli is
	// smaller, and gzip quicker at the same size.
	Kept, Passing Coding
	// Always says that it refuses the plain form, so that size does not matter.
	Always bool
}

// Accept reads the lines of Accept-Encoding (RFC 9110, section 12.5.3). A client that
// takes none of the codings, nor the plain form, gets the plain form all the same:
// the RFC allows to disregard the field, and no client can use a 406 better.
func Accept(h http.Header) Accepted {
	lines := h["Accept-Encoding"]
	if len(lines) == 0 {
		return Accepted{}
	}
	if len(lines) == 1 {
		switch lines[0] { // what browsers and Go's client send
		case "gzip, deflate, br, zstd", "gzip, deflate, br":
			return Accepted{Kept: Brotli, Passing: Gzip}
		case "gzip", "gzip, deflate":
			return Accepted{Kept: Gzip, Passing: Gzip}
		case "", "identity":
			return Accepted{}
		}
	}
	return accept(lines)
}

func accept(lines []string) Accepted {
	const unsaid = -1
	weights, others := [codings]float64{unsaid, unsaid, unsaid}, float64(unsaid)
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			q := weight(params)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "br":
				weights[Brotli] = q
			case "gzip", "x-gzip":
				weights[Gzip] = q
			case "identity":
				weights[Identity] = q
			case "*":
				others = q
			}
		}
	}
	for c, q := range weights {
		switch {
		case q != unsaid:
		case others != unsaid:
			weights[c] = others
		case Coding(c) == Identity:
			weights[c] = 1e-9 // taken, but what is named is liked better
		default:
			weights[c] = 0
		}
	}
	best := func(first, second Coding) Coding {
		c := first
		if weights[second] > weights[c] {
			c = second
		}
		if weights[c] <= 0 || weights[Identity] > weights[c] {
			return Identity
		}
		return c
	}
	return Accepted{Kept: best(Brotli, Gzip), Passing: best(Gzip, Brotli), Always: weights[Identity] <= 0}
}

// weight reads "q=0.5"; 1 when there is none, 0 when it is no weight.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}
