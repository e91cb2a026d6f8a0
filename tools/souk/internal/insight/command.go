// Package insight is `souk insight`: how far the read model of a running shop is, and making
// it anew.
package insight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// lookEvery is the pause between two looks at a model that is being made.
const lookEvery = 200 * time.Millisecond

// Command is `souk insight`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("insight", `usage: souk insight [flags] status|rebuild

status says how far the read model of a running shop is with the log of each service.
rebuild has a new one made from the logs and waits until it answers. The old one answers
meanwhile.

`, stderr)
	dir := flags.String("data", state.DefaultDir, "the data `folder` of a shop that runs")
	wait := flags.Duration("wait", 10*time.Minute, "how long a rebuild may take; it goes on after that")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || flags.Arg(0) != "status" && flags.Arg(0) != "rebuild" {
		flags.Usage()
		return errors.New("insight takes one argument: status or rebuild")
	}
	shop, err := state.Read(*dir)
	if err != nil {
		return err
	}
	id, err := identity.Open(topology.Ops, localshop.Identity(*dir, topology.Ops), telemetry.Discard())
	if err != nil {
		return err
	}
	conn, err := rpc.Dial("insight", rpc.ClientConfig{Target: shop.Services["insight"]}, id, telemetry.Discard())
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	client := insightv1.NewInsightServiceClient(conn)
	if flags.Arg(0) == "rebuild" {
		if err := rebuild(ctx, client, stdout); err != nil {
			return err
		}
	}
	m, err := client.GetModel(ctx, &insightv1.GetModelRequest{Viewer: viewer})
	if err != nil {
		return err
	}
	return show(m, stdout)
}

var viewer = access.Operator("souk insight")

// rebuild has a model made anew, and returns when it answers.
func rebuild(ctx context.Context, client insightv1.InsightServiceClient, w io.Writer) error {
	begun := time.Now()
	if _, err := client.RebuildModel(ctx, &insightv1.RebuildModelRequest{Viewer: viewer}); err != nil {
		return err
	}
	for {
		m, err := client.GetModel(ctx, &insightv1.GetModelRequest{Viewer: viewer})
		if err != nil {
			return err
		}
		// Before its first page a model that is being made has no progress.
		if !m.GetRebuilding() {
			var n int64
			for _, p := range m.GetServing() {
				n += p.GetEvents()
			}
			took := time.Since(begun)
			_, err := fmt.Fprintf(w, "%d events in %s: %.0f a second\n\n", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
			return err
		}
		if err := retry.Sleep(ctx, lookEvery); err != nil {
			return fmt.Errorf("the model is still being made: %w", err)
		}
	}
}

func show(m *insightv1.GetModelResponse, w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "model\tsource\tevents\tcomplete until")
	for _, g := range []struct {
		name    string
		sources []*insightv1.SourceProgress
	}{{"answers", m.GetServing()}, {"is made", m.GetBuilding()}} {
		for _, p := range g.sources {
			until := "not yet"
			if at := p.GetCompleteUntil(); at != nil {
				until = at.AsTime().Local().Format("15:04:05.000") + fmt.Sprintf(" (%s ago)", time.Since(at.AsTime()).Round(time.Millisecond))
			}
			fmt.Fprintf(tw, "%s\t%s\t%d\t%s\n", g.name, p.GetSource(), p.GetEvents(), until)
		}
	}
	return tw.Flush()
}
