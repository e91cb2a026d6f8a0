package loglevel

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/state"
)

// TestCommand asks real admin listeners.
func TestCommand(t *testing.T) {
	t.Parallel()
	st := &state.State{Admin: map[string]string{}}
	for _, part := range []string{"cart", "order"} {
		tel, err := telemetry.Start(t.Context(), part, telemetry.Config{LogOutput: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		st.Admin[part] = lis.Addr().String()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- admin.Serve(ctx, admin.Config{Listener: lis}, tel, nil) }()
		t.Cleanup(func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
	dir := t.TempDir()
	if err := state.Write(dir, st); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want, fail string }{
		{"", "cart   info\norder  info\n", ""},
		{"--for 1h order debug", "order  debug  until ", ""},
		{"order", ", then info\n", ""},
		{"cart", "cart  info\n", ""},
		{"all configured", "cart   info\norder  info\n", ""},
		{"order loud", "", `order: level "loud": want debug, info, warn, error or configured`},
		{"--for 48h order debug", "", "at most 24h"},
		{"--for -1m order debug", "", "want a duration"},
		{"orders debug", "", `no part "orders"; there are cart, order, and all`},
		{"order debug --for 1h", "", "flags come before the part"},
		{"order debug twice", "", "one part and one level"},
		{"--for 1h", "", "--for wants a level"},
	} {
		var out strings.Builder
		err := Command(t.Context(), append([]string{"--data", dir}, strings.Fields(c.args)...), &out, io.Discard)
		switch {
		case c.fail != "":
			if err == nil || !strings.Contains(err.Error(), c.fail) {
				t.Errorf("%s: %v, want %s", c.args, err, c.fail)
			}
		case err != nil || !strings.Contains(out.String(), c.want):
			t.Errorf("%s: %q, %v", c.args, out.String(), err)
		}
	}
}
