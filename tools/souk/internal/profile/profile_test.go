package profile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// made is a profile of three stacks: a route that recurses, the same route in another
// function, and work without an operation.
func made() *profile.Profile {
	p := &profile.Profile{DurationNanos: int64(time.Second), SampleType: []*profile.ValueType{{Type: "samples"}, {Type: "cpu", Unit: "nanoseconds"}}}
	function := func(name string) profile.Line {
		f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
		p.Function = append(p.Function, f)
		return profile.Line{Function: f}
	}
	add := func(d time.Duration, operation string, lines ...profile.Line) {
		s := &profile.Sample{Value: []int64{1, int64(d)}}
		for _, l := range lines {
			s.Location = append(s.Location, &profile.Location{Line: []profile.Line{l}})
		}
		if operation != "" {
			s.Label = map[string][]string{telemetry.ProfileLabel: {operation}}
		}
		p.Sample = append(p.Sample, s)
	}
	serve, walk, write := function("shop/gateway.serve"), function("shop/gateway.walk"), function("net.write<T>")
	add(300*time.Millisecond, "GET /v1/products/{sku}", walk, walk, serve)
	add(100*time.Millisecond, "GET /v1/products/{sku}", write, serve)
	add(50*time.Millisecond, "", write)
	return p
}

func TestText(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := text(&out, made()); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"450ms of processor time in 1s: 45% of a processor",
		"88.9% 400ms GET /v1/products/{sku} 11.1% 50ms (none:",
		"66.7% 66.7% shop/gateway.walk 33.3% 33.3% net.write<T> 0.0% 88.9% shop/gateway.serve",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %q", got, want)
		}
	}
}

func TestFlameGraph(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := flameGraph(&out, made(), "gateway"); err != nil {
		t.Fatal(err)
	}
	var titles []string
	dec := xml.NewDecoder(&out)
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "title" {
			var title string
			if err := dec.DecodeElement(&title, &e); err != nil {
				t.Fatal(err)
			}
			titles = append(titles, title)
		}
	}
	want := []string{
		"Processor time of gateway, 450ms in 1s", "gateway: 450ms, 100.0%", "GET /v1/products/{sku}: 400ms, 88.9%", "shop/gateway.serve: 400ms, 88.9%",
		"net.write<T>: 100ms, 22.2%", "shop/gateway.walk: 300ms, 66.7%", "shop/gateway.walk: 300ms, 66.7%", "net.write<T>: 50ms, 11.1%",
	}
	if strings.Join(titles, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nnot\n%s", strings.Join(titles, "\n"), strings.Join(want, "\n"))
	}
}
