package promtool

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestUnpackedIsUsed: a cache that is filled needs nothing else, not even a network.
func TestUnpackedIsUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bin := filepath.Join(dir, "usr", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		if err := os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tools, err := unpacked(context.Background(), dir, func(s string) { t.Error(s) })
	if err != nil || tools.Promtool != filepath.Join(bin, "promtool") || tools.Amtool != filepath.Join(bin, "amtool") || tools.Prometheus != filepath.Join(bin, "prometheus") {
		t.Errorf("got %+v, %v", tools, err)
	}
}
