package bench

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// generated is a catalog of made-up products, the same every time: the n-th is what
// it is whatever the size of the whole. Its words are as uneven as a shop's: few are
// in a tenth of all names, most in one of ten thousand.
type generated struct {
	adjectives, materials, nouns []string
}

const (
	generatedCategories = 24
	// perMaker is how many products share a maker's name, about: the vocabulary
	// grows with the catalog.
	perMaker = 40
)

func newGenerated() *generated {
	return &generated{
		adjectives: append(strings.Fields("white red blue vintage large small green pink retro round"), madeUp(1, 190)...),
		materials:  append(strings.Fields("metal wooden glass paper cotton ceramic"), madeUp(2, 44)...),
		nouns:      append(strings.Fields("lantern holder bag mug bowl clock frame candle cushion box"), madeUp(3, 790)...),
	}
}

// madeUp are words of two or three syllables that sound like words.
func madeUp(seed uint64, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = madeUpWord(seed, i)
	}
	return out
}

func madeUpWord(seed uint64, i int) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	var b strings.Builder
	for range 3 + i%2 {
		b.WriteByte(consonants[rng.IntN(len(consonants))])
		b.WriteByte(vowels[rng.IntN(len(vowels))])
	}
	b.WriteByte(consonants[rng.IntN(len(consonants))])
	return b.String()
}

// uneven picks among n: the first is as likely as the next two, and so on.
func uneven(rng *rand.Rand, n int) int { return int(math.Pow(float64(n+1), rng.Float64())) - 1 }

// code is the code and SKU of the n-th product.
func (*generated) code(n int) string { return fmt.Sprintf("G%07d", n) }

// maker is the made-up name of the n-th product's maker.
func (*generated) maker(n int) string { return madeUpWord(4, n/perMaker) + "o" }

// name is the n-th product's.
func (g *generated) name(n int) string {
	rng := rand.New(rand.NewPCG(5, uint64(n)))
	return strings.Join([]string{
		g.maker(n), g.adjectives[uneven(rng, len(g.adjectives))], g.materials[uneven(rng, len(g.materials))], g.nouns[uneven(rng, len(g.nouns))],
	}, " ")
}

// csv is a file of the products from to before to.
func (g *generated) csv(from, to int) []byte {
	var b bytes.Buffer
	b.WriteString("code,name,description,category,sku,price,currency,stock,popularity\n")
	for n := from; n < to; n++ {
		rng := rand.New(rand.NewPCG(6, uint64(n)))
		stock := 100
		if rng.IntN(20) == 0 {
			stock = 0
		}
		code, name := g.code(n), g.name(n)
		fmt.Fprintf(&b, "%s,%s,A %s for the house and the garden,made-up-%d,%s,%d.%02d,GBP,%d,%d\n",
			code, name, name, uneven(rng, generatedCategories), code, 1+rng.IntN(120), rng.IntN(100), stock, int(1000*rng.ExpFloat64()))
	}
	return b.Bytes()
}
