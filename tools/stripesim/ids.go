package stripesim

import (
	"crypto/rand"
	"crypto/sha256"
	"strconv"
	"strings"
)

const (
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// suffixLen is the length of an id after its prefix.
	suffixLen = 24
)

// newID returns a new id, such as "pi_3PqLYk...".
func newID(prefix string) string {
	var raw [suffixLen - 1]byte
	rand.Read(raw[:]) // never fails
	return prefix + "3" + letters(raw[:])
}

func letters(raw []byte) string {
	out := make([]byte, len(raw))
	for i, r := range raw {
		out[i] = alphabet[int(r)%len(alphabet)]
	}
	return string(out)
}

// derived returns an id that belongs to another: it needs no room of its own.
func derived(prefix, id string) string {
	sum := sha256.Sum256([]byte(prefix + id))
	return prefix + "3" + letters(sum[:suffixLen-1])
}

func (in *intent) clientSecret() string {
	return in.id + derived("_secret_", in.id)
}

// chargeID is the id of the latest charge: the intent's, and which of its charges.
func (in *intent) chargeID() string { return chargeID(in.header, in.charges) }

func chargeID(h *header, n int) string {
	return "ch_" + strings.TrimPrefix(h.id, "pi_") + strconv.Itoa(n)
}

// byCharge returns the version of an intent whose latest charge has the id, or nil.
func (b *bank) byCharge(id string) *intent {
	rest, ok := strings.CutPrefix(id, "ch_")
	if !ok || len(rest) <= suffixLen {
		return nil
	}
	if in := b.superseded[id]; in != nil {
		return in
	}
	in := b.intents["pi_"+rest[:suffixLen]]
	if in == nil || in.charges == 0 || in.chargeID() != id {
		return nil
	}
	return in
}
