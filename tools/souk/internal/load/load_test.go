package load

import (
	"math/rand/v2"
	"testing"
)

func TestParseMix(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{
		"browse=60,search=20,cart=15,checkout=5": true,
		"checkout=1":                             true,
		"":                                       false,
		"browse":                                 false,
		"browse=-1":                              false,
		"browse=0":                               false,
		"steal=1":                                false,
		"browse=99999999999999999999":            false,
	} {
		if _, err := parseMix(in); (err == nil) != ok {
			t.Errorf("parseMix(%q) = %v, want ok %v", in, err, ok)
		}
	}
}

func TestPickFollowsTheShares(t *testing.T) {
	t.Parallel()
	l := &Load{opts: Options{Mix: Mix{Browse: 3, Checkout: 1}}}
	rng := rand.New(rand.NewPCG(1, 1))
	got := map[Action]int{}
	const n = 10_000
	for range n {
		got[l.pick(rng)]++
	}
	if got[Search]+got[Cart] != 0 {
		t.Errorf("actions without a share were picked: %v", got)
	}
	if share := float64(got[Browse]) / n; share < 0.72 || share > 0.78 {
		t.Errorf("browse was picked %.2f of the time, want 0.75", share)
	}
}
