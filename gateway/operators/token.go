package operators

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"regexp"
)

// Prefix begins each token, so that people and scanners of secrets recognize one.
const Prefix = "souk_op_"

// A token is
//
//	souk_op_<id>_<secret><checksum>
//
// The id, 8 of [0-9a-z], names the token in logs and commands and is no secret. The
// secret is 43 of [0-9A-Za-z], each chosen at random: 62^43 > 2^256. The checksum is
// the first 8 hexadecimal digits of the SHA-256 of all before it. It lets a scanner
// tell a token from a text that looks like one, and the gateway tell a token that was
// mistyped from one that it never gave, without a list. It protects nothing: anyone can
// compute it.
var form = regexp.MustCompile(`^souk_op_([0-9a-z]{8})_[0-9A-Za-z]{43}[0-9a-f]{8}$`)

const (
	idAlphabet     = "0123456789abcdefghijklmnopqrstuvwxyz"
	secretAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idSize         = 8
	secretSize     = 43
	checksumSize   = 8
	tokenSize      = len(Prefix) + idSize + 1 + secretSize + checksumSize
)

// newToken makes a token and returns it with its id.
func newToken() (token, id string) {
	id = randomText(idAlphabet, idSize)
	body := Prefix + id + "_" + randomText(secretAlphabet, secretSize)
	return body + checksum(body), id
}

// randomText is n characters of the alphabet, each as likely as the others.
func randomText(alphabet string, n int) string {
	out := make([]byte, n)
	for i := range out {
		at, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic(err) // crypto/rand.Reader never fails
		}
		out[i] = alphabet[at.Int64()]
	}
	return string(out)
}

func checksum(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])[:checksumSize]
}

// TokenID returns the id in a text that has the form of a token, with a checksum that
// is right. It says nothing about whether the shop gave it.
func TokenID(token string) (id string, ok bool) {
	if len(token) != tokenSize {
		return "", false
	}
	m := form.FindStringSubmatch(token)
	if m == nil {
		return "", false
	}
	at := len(token) - checksumSize
	return m[1], checksum(token[:at]) == token[at:]
}

// Hash is what is kept of a token. A fast hash is right here, and the slow ones for
// passwords are not needed: they make guessing dear where people chose the secret, and
// a secret of 256 random bits cannot be guessed however fast one tries.
func Hash(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
