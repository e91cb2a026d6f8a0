package chaos

import (
	"context"
	"fmt"
	"time"
)

// expiresAfter is the life of a certificate that is not renewed: long enough for the part to read it.
// A part that reads it too late, on a busy machine, keeps the one before, which is valid, and gets
// another one of twice the life.
const expiresAfter = 3 * time.Second

// certificateFaults have the certificate of one part expire.
func certificateFaults() []Fault {
	var out []Fault
	for _, part := range parts {
		out = append(out, Fault{
			Name: "certificate-expired-" + part, Group: "certificate", Breaks: []string{part},
			Doc: fmt.Sprintf("the certificate of %s expires and is not renewed, for 5s", part),
			Inject: func(ctx context.Context, e *Environment) error {
				return e.during(ctx, 5*time.Second, func(ctx context.Context) error {
					ctx, cancel := context.WithTimeout(ctx, recoverWithin)
					defer cancel()
					var refused error
					life, again := expiresAfter, time.Time{}
					err := until(ctx, part+" is refused", func() (bool, error) {
						if now := time.Now(); now.After(again) {
							if err := e.Shop.LetExpire(part, life); err != nil {
								return false, err
							}
							again = now.Add(2 * life)
							life *= 2
						}
						ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
						defer cancel()
						refused = e.Shop.Ready(ctx, part)
						return refused != nil, nil
					})
					if err == nil {
						e.Injected(1, fmt.Sprintf("%s, whose certificate had expired, was refused: %v", part, refused))
					}
					return err
				}, func(ctx context.Context) error {
					if err := e.Shop.RenewCertificate(part); err != nil {
						return err
					}
					return e.Shop.Await(ctx, part)
				})
			},
		})
	}
	return out
}
