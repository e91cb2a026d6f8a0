package chaos

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
)

// serviceArg has this binary be a service's process.
const serviceArg = "chaos-service"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == serviceArg {
		if err := localshop.RunService(context.Background(), os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// trialOf makes a run of a fault, short enough for a test.
func trialOf(t *testing.T, f Fault, s *sabotage) *Result {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	res, err := Run(t.Context(), Options{
		Fault: f, Duration: testDuration, Orders: testOrders, Seed: 1, Dir: pgtest.Folder(t),
		Exec: []string{exe, serviceArg}, sabotage: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	if res.Void != "" {
		t.Fatalf("the run does not count: %s", res.Void)
	}
	return res
}
