// Package images is `souk images`: it compiles the shop's programs on this
// machine and puts each into an image FROM scratch, without Docker.
package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/sbom"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// Command is `souk images`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("images", `usage: souk images [flags] [PROGRAM...]

Compiles the shop's programs (all of them, or those named) on this machine and
writes one archive of images FROM scratch, an OCI layout that "docker load", "kind
load image-archive", "minikube image load" and "ctr images import" understand.
It needs Go alone; --load needs the program that takes the images. Each image has its
bill of materials (CycloneDX) and the licenses of its modules in /usr/share/souk.

The same sources, Go and certificates give the same bytes. Run it in the
repository.

`, stderr)
	out := flags.String("out", filepath.Join("bin", "images"), "the `folder` for the archive and the binaries")
	tag := flags.String("tag", "dev", "the images' `tag`")
	prefix := flags.String("prefix", "souk", "what comes before the programs' names: a `registry/path`")
	arch := flags.String("arch", runtime.GOARCH, "the `architecture` to build for: amd64 or arm64")
	load := flags.String("load", "", "hand the images to `kind`, minikube, docker or containerd")
	cluster := flags.String("cluster", "", "the `name` of the kind cluster or minikube profile, if it is not the default")
	if err := flags.Parse(args); err != nil {
		return err
	}
	programs, err := choose(flags.Args())
	if err != nil {
		return err
	}
	var loader []string
	if *load != "" { // before minutes of compiling
		if loader, err = loadCommand(*load, *cluster); err != nil {
			return err
		}
	}
	root, err := Repository(ctx)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(*out)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "compiling for linux/%s\n", *arch)
	if err := Compile(ctx, root, dir, *arch, programs, stderr); err != nil {
		return err
	}
	base, err := baseFiles(ctx)
	if err != nil {
		return err
	}
	labels := sourceLabels(ctx, root, *tag)
	archive := filepath.Join(dir, "souk.tar")
	infos, err := writeArchive(archive, base, dir, *prefix, *tag, *arch, labels, programs)
	if err != nil {
		return err
	}
	for _, i := range infos {
		fmt.Fprintf(stdout, "%-28s %5.1f MB  %s\n", i.Name, float64(i.Size)/1e6, i.Digest)
	}
	fmt.Fprintf(stdout, "%s\n", archive)
	if loader == nil {
		return nil
	}
	loader = append(loader, archive)
	fmt.Fprintf(stderr, "%s\n", strings.Join(loader, " "))
	cmd := exec.CommandContext(ctx, loader[0], loader[1:]...)
	cmd.Stdout, cmd.Stderr = stderr, stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("load into %s: %w", *load, err)
	}
	return nil
}

// choose returns the named programs, or all.
func choose(names []string) ([]topology.Part, error) {
	all := topology.Programs()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []topology.Part
	for _, name := range names {
		i := slices.IndexFunc(all, func(p topology.Part) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no program %q; there are: %s", name, strings.Join(topology.Names(all), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// loadCommand returns the command that takes the archive as its last argument.
func loadCommand(where, cluster string) ([]string, error) {
	var argv []string
	switch where {
	case "docker":
		argv = []string{"docker", "load", "--quiet", "--input"}
	case "kind":
		argv = []string{"kind", "load", "image-archive"}
		if cluster != "" {
			argv = append(argv, "--name", cluster)
		}
	case "minikube":
		argv = []string{"minikube"}
		if cluster != "" {
			argv = append(argv, "--profile", cluster)
		}
		argv = append(argv, "image", "load")
	case "containerd":
		argv = []string{"ctr", "--namespace", "k8s.io", "images", "import"}
	default:
		return nil, fmt.Errorf("cannot load into %q: want kind, minikube, docker or containerd", where)
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return nil, fmt.Errorf("%s is not installed; without --load the images are written to a file only", argv[0])
	}
	return argv, nil
}

// Repository returns the root of the repository that the working folder is in.
func Repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	work := strings.TrimSpace(string(out))
	if work == "" || work == "off" {
		return "", errors.New("no go.work here: run it in Souk's repository")
	}
	return filepath.Dir(work), nil
}

// Compile builds static, stripped programs for Linux into dir, and beside each its
// bill of materials and its licenses. The same sources
// and the same Go give the same bytes, wherever the repository is. The modules
// share Go's build cache, so that what several programs use is compiled once.
func Compile(ctx context.Context, root, dir, arch string, programs []topology.Part, stderr io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	byModule := map[string][]string{}
	var modules []string
	for _, p := range programs {
		if byModule[p.Module] == nil {
			modules = append(modules, p.Module)
		}
		byModule[p.Module] = append(byModule[p.Module], p.Package)
	}
	for _, module := range modules {
		args := append([]string{
			"build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=",
			"-o", dir + string(filepath.Separator),
		}, byModule[module]...)
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = filepath.Join(root, module)
		// Each module as it is on its own, and nothing of this machine's settings.
		cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch,
			"GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
		cmd.Stdout, cmd.Stderr = stderr, stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("compile %s: %w", module, err)
		}
	}
	for _, p := range programs {
		if err := sbom.Write(filepath.Join(dir, p.Name)); err != nil {
			return err
		}
	}
	return nil
}

// sourceLabels are the labels that say what an image was made from.
func sourceLabels(ctx context.Context, root, tag string) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.source":   "https://github.com/souk-shop/souk",
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.version":  tag,
	}
	// A tree without git, or one that is not trusted, has no revision.
	if out, err := exec.CommandContext(ctx, "git", "-C", root, "rev-parse", "HEAD").Output(); err == nil {
		labels["org.opencontainers.image.revision"] = strings.TrimSpace(string(out))
	}
	return labels
}
