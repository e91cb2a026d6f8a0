package bench

import (
	"strings"
	"testing"
)

// Peers that load what gateways alone do are said to, and so is a run without changes.
func TestPeersThatLoadTooMuch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		alone, peers float64
		want         string
	}{
		{8, 1.2, ""}, {8, 2.7, ""}, {8, 2.9, "peers load 2.90"}, {0.5, 0.1, "measured nothing"},
	} {
		r := &PeersResult{Alone: PeersSide{Loads: test.alone}, Peers: PeersSide{Loads: test.peers}}
		r.check()
		if got := strings.Join(r.Broken, "; "); got == "" != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%v and %v: %q", test.alone, test.peers, got)
		}
	}
}
