// Package observability tests what k8s/observability tells Prometheus and the OpenTelemetry
// Collector, with these programs.
package observability
