package auth

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"strings"
	"time"

	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/services/chassis/filewatch"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Operator is an operator whose token works.
type Operator struct {
	Name string
	// Token is the token's id, which is no secret.
	Token string
	Scope operators.Scope
}

// Has reports whether the operator may do what needs the scopes. A nil
// Operator, of a caller who is none, may nothing.
func (o *Operator) Has(scope operators.Scope) bool { return o != nil && o.Scope.Has(scope) }

// reloadPause is how long after a reading a token that is not in the file has it read again:
// a token may be used as soon as it is made, and guesses cost ten readings a second at most.
const reloadPause = 100 * time.Millisecond

// Operators are the operators of the file, as it is now. Safe for concurrent use.
type Operators struct {
	cfg    OperatorsConfig
	tokens *filewatch.Value[map[string]operators.Token] // by id
}

// OperatorsConfig configures Operators.
type OperatorsConfig struct {
	// Path of the file; "" for no operators.
	Path string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Telemetry gets what becomes of the file and, in its security log, the tokens that are
	// refused.
	Telemetry *telemetry.Telemetry
}

// OpenOperators reads the file. It may be missing, and made later: until then there are
// no operators. A file that is gone later, or makes no sense, changes nothing: no
// operator is to lose access, or get it back, by a mistake.
func OpenOperators(cfg OperatorsConfig) (*Operators, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	o := &Operators{cfg: cfg}
	file := filewatch.Config[map[string]operators.Token]{Name: "operators", Make: o.make, Read: operators.ReadFile, Optional: true}
	if cfg.Path != "" {
		file.Files = []filewatch.File{{Variable: "SOUK_GATEWAY_OPERATORS", Path: cfg.Path}}
	}
	var err error
	o.tokens, err = filewatch.Open(file, cfg.Telemetry)
	return o, err
}

// Run follows the file until ctx ends.
func (o *Operators) Run(ctx context.Context) error { return o.tokens.Run(ctx) }

func (o *Operators) make(contents [][]byte) (map[string]operators.Token, error) {
	file, err := operators.Parse(contents[0])
	if err != nil {
		return nil, err
	}
	tokens, working := make(map[string]operators.Token, len(file.Tokens)), 0
	for _, t := range file.Tokens {
		tokens[t.ID] = t
		if t.Works(o.cfg.Now()) {
			working++
		}
	}
	o.cfg.Telemetry.Log.Info("operators loaded", "path", o.cfg.Path, "tokens", len(tokens), "working", working)
	return tokens, nil
}

// Why a token is refused, as its bearer is told.
const (
	whyUnknown = "The operator's token is not one of this shop."
	whyRevoked = "The operator's token was revoked."
	whyExpired = "The operator's token has expired."
)

// identify returns the operator of a token, or why there is none. The id finds the entry;
// the hashes are compared in constant time. Who is told that a token has expired or
// was revoked had the token.
func (o *Operators) identify(ctx context.Context, token, client string) (*Operator, string) {
	id, ok := operators.TokenID(token)
	entry, known := o.tokens.Now()[id]
	if ok && !known {
		o.tokens.LookAfter(ctx, reloadPause)
		entry, known = o.tokens.Now()[id]
	}
	sum := operators.Hash(token)
	if !ok || !known || subtle.ConstantTimeCompare(sum[:], entry.SHA256[:]) != 1 {
		o.refused(ctx, telemetry.AuthnFail, client, id)
		return nil, whyUnknown
	}
	var why string
	switch now := o.cfg.Now(); {
	case !entry.Revoked.IsZero():
		why = whyRevoked
	case !entry.Works(now):
		why = whyExpired
	default:
		return operatorOf(entry), ""
	}
	o.refused(ctx, telemetry.TokenReused, client, id, slog.String("operator", entry.Operator), slog.String("reason", why))
	return nil, why
}

// working returns the operator of a token by its id, nil when it does not work.
func (o *Operators) working(id string) *Operator {
	entry, known := o.tokens.Now()[id]
	if !known || !entry.Works(o.cfg.Now()) {
		return nil
	}
	return operatorOf(entry)
}

// operatorOf is the operator of a token that works.
func operatorOf(entry operators.Token) *Operator {
	return &Operator{Name: entry.Operator, Token: entry.ID, Scope: entry.Scope}
}

func (o *Operators) refused(ctx context.Context, event telemetry.SecurityEvent, client, id string, more ...slog.Attr) {
	attrs := append([]slog.Attr{slog.String("client", client)}, more...)
	if id != "" {
		attrs = append(attrs, slog.String("token_id", id))
	}
	o.cfg.Telemetry.Security.Record(ctx, event, "operator_token", attrs...)
}

// isOperators reports that a token means to be an operator's.
func isOperators(token string) bool { return strings.HasPrefix(token, operators.Prefix) }

// while returns a context that ends when ctx does, or soon after the operator's token
// stops working. What goes on for long, such as a stream, runs under it.
func (o *Operators) while(ctx context.Context, op *Operator) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for retry.Sleep(ctx, filewatch.Interval) == nil {
			if entry := o.tokens.Now()[op.Token]; !entry.Works(o.cfg.Now()) {
				cancel()
			}
		}
	}()
	return ctx, cancel
}
