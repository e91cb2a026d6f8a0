package images

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/souk-shop/souk/tools/internal/sbom"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// Where things are in an image, as in the Dockerfile.
const (
	programPath  = "souk"
	bomPath      = "usr/share/souk/sbom.cdx.json"
	licensesPath = "usr/share/souk/licenses.txt"
	rootsPath    = "etc/ssl/certs/ca-certificates.crt"
	zonesPath    = "usr/share/zoneinfo.zip"
	user         = "65532:65532"
)

// file is a file of a layer.
type file struct {
	name string
	mode int64
	data []byte
}

// baseFiles are what a program needs besides itself: certificate authorities
// and time zones.
func baseFiles(ctx context.Context) ([]file, error) {
	roots, err := certificates()
	if err != nil {
		return nil, err
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	zones, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(goroot)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("time zones: %w", err)
	}
	return []file{{rootsPath, 0o644, roots}, {zonesPath, 0o644, zones}}, nil
}

// certificates returns this machine's certificate authorities.
func certificates() ([]byte, error) {
	for _, name := range []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, Arch
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/ssl/cert.pem",                                 // macOS, BSD
	} {
		roots, err := os.ReadFile(name)
		if err == nil {
			return roots, nil
		}
	}
	return nil, errors.New("this machine has no bundle of certificate authorities: install ca-certificates")
}

// info is an image that was written.
type info struct {
	Name   string
	Digest string // of the manifest
	Size   int64  // of its layers
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type imageConfig struct {
	Created      time.Time   `json:"created"`
	Architecture string      `json:"architecture"`
	OS           string      `json:"os"`
	Config       execConfig  `json:"config"`
	RootFS       rootFS      `json:"rootfs"`
	History      []histEntry `json:"history"`
}

type execConfig struct {
	User       string
	Env        []string
	Entrypoint []string
	WorkingDir string
	Labels     map[string]string
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type histEntry struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
}

// dockerImage is an entry of manifest.json, for those who read archives the way
// "docker save" writes them.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// epoch is the time of everything in an image: the same sources, the same bytes.
var epoch = time.Unix(0, 0).UTC()

// writeArchive writes the images of the programs in bin as one OCI layout in a
// tar file. They share the layer of base.
func writeArchive(name string, base []file, bin, prefix, tag, arch string, labels map[string]string, programs []topology.Part) (_ []info, err error) {
	out, err := os.CreateTemp(filepath.Dir(name), ".souk-*.tar")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(out.Name()) }() // gone already once it is renamed
	defer func() { err = errors.Join(err, out.Close()) }()
	l := &layout{w: tar.NewWriter(out), written: map[string]bool{}}

	baseLayer, err := l.layer(base)
	if err != nil {
		return nil, err
	}
	var infos []info
	var docker []dockerImage
	top := index{SchemaVersion: 2, MediaType: indexType}
	for _, p := range programs {
		files := []file{{name: programPath, mode: 0o755}, {name: bomPath, mode: 0o644}, {name: licensesPath, mode: 0o644}}
		for i, ending := range []string{"", sbom.BOMFile, sbom.LicensesFile} {
			if files[i].data, err = os.ReadFile(filepath.Join(bin, p.Name+ending)); err != nil {
				return nil, err
			}
		}
		own, err := l.layer(files)
		if err != nil {
			return nil, err
		}
		layers := []descriptor{baseLayer, own}
		config, err := l.json(configType, configure(p.Name, arch, labels, layers))
		if err != nil {
			return nil, err
		}
		m, err := l.json(manifestType, manifest{2, manifestType, config, layers})
		if err != nil {
			return nil, err
		}
		full := path.Join(prefix, p.Name) + ":" + tag
		m.Platform = &platform{arch, "linux"}
		m.Annotations = map[string]string{
			"io.containerd.image.name":          reference(full),
			"org.opencontainers.image.ref.name": tag,
		}
		top.Manifests = append(top.Manifests, m)
		docker = append(docker, dockerImage{blob(config), []string{full}, []string{blob(baseLayer), blob(own)}})
		infos = append(infos, info{full, m.Digest, baseLayer.Size + own.Size})
	}
	if err := l.finish(top, docker); err != nil {
		return nil, err
	}
	if err := out.Chmod(0o644); err != nil {
		return nil, err
	}
	return infos, os.Rename(out.Name(), name)
}

// reference is the full name of an image as containerd and the kubelet know it.
func reference(name string) string {
	first, rest, found := strings.Cut(name, "/")
	switch {
	case !found:
		return "docker.io/library/" + name
	case strings.ContainsAny(first, ".:") || first == "localhost":
		return first + "/" + rest
	default:
		return "docker.io/" + name
	}
}

func configure(name, arch string, labels map[string]string, layers []descriptor) imageConfig {
	c := imageConfig{
		Created: epoch, Architecture: arch, OS: "linux",
		Config: execConfig{
			User: user, WorkingDir: "/", Entrypoint: []string{"/" + programPath},
			Env:    []string{"PATH=/", "SSL_CERT_FILE=/" + rootsPath, "ZONEINFO=/" + zonesPath},
			Labels: map[string]string{"org.opencontainers.image.title": "souk-" + name},
		},
		RootFS: rootFS{Type: "layers"},
	}
	for key, value := range labels {
		c.Config.Labels[key] = value
	}
	for i, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.Digest) // layers are not compressed
		c.History = append(c.History, histEntry{epoch, []string{"certificates and time zones", name}[i]})
	}
	return c
}

// layout writes an OCI layout into a tar file.
type layout struct {
	w       *tar.Writer
	written map[string]bool
}

func blob(d descriptor) string {
	return "blobs/sha256/" + strings.TrimPrefix(d.Digest, "sha256:")
}

// put writes a blob, once.
func (l *layout) put(mediaType string, data []byte) (descriptor, error) {
	sum := sha256.Sum256(data)
	d := descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(data))}
	if l.written[d.Digest] {
		return d, nil
	}
	l.written[d.Digest] = true
	return d, writeFile(l.w, file{blob(d), 0o644, data})
}

func (l *layout) json(mediaType string, value any) (descriptor, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	return l.put(mediaType, data)
}

// layer writes a layer with the files and the folders that they are in.
func (l *layout) layer(files []file) (descriptor, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := map[string]bool{}
	for _, f := range files {
		parts := strings.Split(path.Dir(f.name), "/")
		for i := range parts {
			dir := strings.Join(parts[:i+1], "/")
			if dir == "." || made[dir] {
				continue
			}
			made[dir] = true
			if err := w.WriteHeader(&tar.Header{
				Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: epoch, Format: tar.FormatUSTAR,
			}); err != nil {
				return descriptor{}, err
			}
		}
		if err := writeFile(w, f); err != nil {
			return descriptor{}, err
		}
	}
	if err := w.Close(); err != nil {
		return descriptor{}, err
	}
	return l.put(layerType, buf.Bytes())
}

func (l *layout) finish(top index, docker []dockerImage) error {
	for _, f := range []struct {
		name  string
		value any
	}{
		{"index.json", top},
		{"manifest.json", docker},
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}},
	} {
		data, err := json.Marshal(f.value)
		if err != nil {
			return err
		}
		if err := writeFile(l.w, file{f.name, 0o644, data}); err != nil {
			return err
		}
	}
	return l.w.Close()
}

func writeFile(w *tar.Writer, f file) error {
	if err := w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: epoch, Format: tar.FormatUSTAR,
	}); err != nil {
		return err
	}
	_, err := w.Write(f.data)
	return err
}
