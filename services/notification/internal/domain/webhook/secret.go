package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// SecretBytes is how long a secret is: the specification asks for 24 to 64 bytes.
const SecretBytes = 32

const secretPrefix = "whsec_"

// Secret signs the messages to an endpoint.
type Secret struct {
	Key []byte
	// ExpiresAt is when one that was rotated is used no more; the zero time for the current
	// one.
	ExpiresAt time.Time
}

// Format is the form in which a receiver is given a secret.
func (s Secret) Format() string { return secretPrefix + base64.StdEncoding.EncodeToString(s.Key) }

// Sign is the header webhook-signature: one signature for each secret that is in use, so
// that a receiver that has either of two accepts it.
func Sign(secrets []Secret, id string, at time.Time, body []byte) string {
	var out []string
	for _, s := range secrets {
		if !s.ExpiresAt.IsZero() && !at.Before(s.ExpiresAt) {
			continue
		}
		mac := hmac.New(sha256.New, s.Key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(out, " ")
}

// MaxSecrets is how many of an endpoint's secrets are in use at a time: a rotation ends the
// oldest beyond it.
const MaxSecrets = 3

// The overlap of a rotation: for how long the secret before is still signed with.
const (
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 7 * 24 * time.Hour
)
