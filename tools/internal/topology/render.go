package topology

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// YAML is the table as helm/souk/topology.yaml, for what is not written in Go:
// the chart's templates and the Tiltfile.
func YAML() []byte {
	var b bytes.Buffer
	b.WriteString("# Made by `go generate ./tools/internal/topology` from its table.\nparts:\n")
	for _, p := range Parts {
		fmt.Fprintf(&b, "  - name: %s\n    kind: %s\n", p.Name, p.Kind)
		if p.Module != "" {
			fmt.Fprintf(&b, "    module: %s\n    package: %s\n", p.Module, p.Package)
		}
		fmt.Fprintf(&b, "    port: %d\n", p.Port)
		var calls []string
		for _, c := range p.Calls {
			calls = append(calls, c.To)
		}
		fmt.Fprintf(&b, "    calls: [%s]\n    database: %t\n    replica: %t\n    redis: %t\n    events: %t\n", strings.Join(calls, ", "), p.Database, p.Replica, p.Redis, p.Events)
		if !p.Events {
			continue
		}
		var takes []string
		for _, g := range p.Takes {
			takes = append(takes, fmt.Sprintf("{name: %s, sources: [%s]}", g.Name, strings.Join(g.Sources, ", ")))
		}
		fmt.Fprintf(&b, "    tells: %t\n    takes: [%s]\n    follows: [%s]\n", p.Tells, strings.Join(takes, ", "), strings.Join(p.Follows, ", "))
	}
	return b.Bytes()
}

// Mermaid is the picture of the shop.
func Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n    browser([browser]) --> gateway\n    client([REST client]) --> gateway\n")
	parts := Of(Gateway, Service)
	slices.Reverse(parts) // the callers first
	for _, p := range parts {
		var grpc []string
		for _, c := range p.Calls {
			if to, _ := Find(c.To); to.Kind == Service {
				grpc = append(grpc, c.To)
			}
		}
		if len(grpc) > 0 {
			fmt.Fprintf(&b, "    %s --> %s\n", p.Name, strings.Join(grpc, " & "))
		}
	}
	for _, p := range parts {
		for _, c := range p.Calls {
			if to, _ := Find(c.To); to.Kind == Provider {
				fmt.Fprintf(&b, "    %s -- HTTP --> provider([Stripe, or %s])\n    provider -. webhooks .-> %s\n", p.Name, c.To, to.Calls[0].To)
			}
		}
	}
	for _, p := range parts {
		if p.Database {
			fmt.Fprintf(&b, "    %s --> %s-db[(PostgreSQL)]\n", p.Name, p.Name)
		}
		if p.Redis {
			fmt.Fprintf(&b, "    %s -. copies .-> redis[(Redis)]\n", p.Name)
		}
	}
	return b.String()
}

const (
	blockBegin = "<!-- topology: go generate ./tools/internal/topology -->\n"
	blockEnd   = "<!-- /topology -->"
)

// Draw returns a document with the picture in its marked block as it has to be;
// false when there is no such block.
func Draw(document string) (string, bool) {
	before, rest, begins := strings.Cut(document, blockBegin)
	_, after, ends := strings.Cut(rest, blockEnd)
	if !begins || !ends {
		return document, false
	}
	return before + blockBegin + "```mermaid\n" + Mermaid() + "```\n" + blockEnd + after, true
}

// Documents may have the picture; below the root of the repository.
var Documents = []string{"README.md", "docs/architecture.md"}

// Chart is the file of YAML, below the root of the repository.
const Chart = "helm/souk/topology.yaml"
