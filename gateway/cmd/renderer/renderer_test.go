package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/souk-shop/souk/gateway/internal/render"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
)

// The Lambda runtime interface emulator: AWS's own program, which starts a function's program
// and speaks the runtime API to it. It is built once, of its module, into the user's cache.
const (
	emulatorModule  = "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie"
	emulatorVersion = "v0.0.0-20261030222936-bef5c4ba774d"
)

// invocations is where the emulator takes events.
const invocations = "/2015-03-31/functions/function/invocations"

// patience is for a program to start, or to end, on a busy machine.
const patience = 30 * time.Second

var words = []string{"White Hanging Heart T-Light Holder", `</svg><script>alert("1")</script> METAL SIGN`, "日本の傘"}

// TestProcess: the program serves where Knative says by PORT, and ends in good order.
func TestProcess(t *testing.T) {
	t.Parallel()
	base := process(t, build(t))
	for _, w := range words {
		res := fetch(t, base+render.Path+"?"+address(w))
		if res.status != http.StatusOK || !bytes.Equal(res.body, picture.SVG("85123A", w)) {
			t.Errorf("%.30q: %d, %d bytes", w, res.status, len(res.body))
		}
	}
	if res := fetch(t, base+render.Path+"?seed=1"); res.status != http.StatusBadRequest || !strings.Contains(string(res.body), `"field":"words"`) {
		t.Errorf("no words: %d %s", res.status, res.body)
	}
	if res := fetch(t, base+"/readyz"); res.status != http.StatusOK {
		t.Errorf("/readyz: %d", res.status)
	}
}

// TestLambda: the same program under AWS's emulator of the Lambda runtime gives the same bytes
// and the same errors for events of a function URL.
func TestLambda(t *testing.T) {
	t.Parallel()
	base := lambda(t, build(t))
	for _, w := range words {
		a := invoke(t, base, event(http.MethodGet, render.Path, address(w), ""))
		if a.StatusCode != http.StatusOK || a.Body != string(picture.SVG("85123A", w)) || a.IsBase64Encoded || !strings.Contains(a.Headers["Cache-Control"], "immutable") {
			t.Errorf("%.30q: %d, %d bytes, %v", w, a.StatusCode, len(a.Body), a.Headers)
		}
		if again := invoke(t, base, event(http.MethodGet, render.Path, address(w), a.Headers["Etag"])); again.StatusCode != http.StatusNotModified || again.Body != "" {
			t.Errorf("%.30q, kept: %d, %d bytes", w, again.StatusCode, len(again.Body))
		}
	}
	if a := invoke(t, base, event(http.MethodHead, render.Path, address("Mug"), "")); a.StatusCode != http.StatusOK || a.Body != "" {
		t.Errorf("HEAD: %d, %d bytes", a.StatusCode, len(a.Body))
	}
	if a := invoke(t, base, event(http.MethodGet, render.Path, "seed=1", "")); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.Body, `"field":"words"`) {
		t.Errorf("no words: %d %s", a.StatusCode, a.Body)
	}
	// What is no event of a function URL is an error of the function, and the next one is answered.
	if res := post(t, base, []byte(`{"Records": []}`)); !strings.Contains(string(res.body), "requestContext.http.method") {
		t.Errorf("another event: %d %s", res.status, res.body)
	}
	if a := invoke(t, base, event(http.MethodGet, render.Path, address("Mug"), "")); a.StatusCode != http.StatusOK {
		t.Errorf("after an error: %d", a.StatusCode)
	}
}

// BenchmarkPicture compares the ways to draw one picture: in the process that wants it (the
// baseline), by the process over HTTP on loopback, by a Lambda function that runs, and by one
// that is started for it. The emulator stands for Lambda's own part, not for its network or for
// the time that AWS takes to place a function.
func BenchmarkPicture(b *testing.B) {
	const w = "White Hanging Heart T-Light Holder"
	program := build(b)
	b.Run("in-process", func(b *testing.B) {
		for b.Loop() {
			picture.SVG("85123A", w)
		}
	})
	b.Run("process", func(b *testing.B) {
		base := process(b, program)
		for b.Loop() {
			fetch(b, base+render.Path+"?"+address(w))
		}
	})
	body := event(http.MethodGet, render.Path, address(w), "")
	b.Run("lambda-warm", func(b *testing.B) {
		base := lambda(b, program)
		invoke(b, base, body)
		for b.Loop() {
			invoke(b, base, body)
		}
	})
	b.Run("lambda-cold", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			base := lambda(b, program) // the emulator starts the function for its first event
			b.StartTimer()
			invoke(b, base, body)
		}
	})
}

func address(words string) string {
	return url.Values{"seed": {"85123A"}, "words": {words}, "v": {picture.Version("85123A", words)}}.Encode()
}

func event(method, path, query, tag string) []byte {
	e := events.LambdaFunctionURLRequest{Version: "2.0", RawPath: path, RawQueryString: query, Headers: map[string]string{"if-none-match": tag}}
	e.RequestContext.HTTP.Method, e.RequestContext.HTTP.Path = method, path
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // texts
	}
	return body
}

// build compiles the program.
func build(t testing.TB) string {
	t.Helper()
	// What is built is no input of the test that go test's cache knows; what is read is one.
	for _, folder := range []string{".", "../../renderer", "../../internal/render", "../../internal/storefront/picture"} {
		files, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			_, _ = os.ReadFile(file) // folders among them
		}
	}
	program := filepath.Join(t.TempDir(), "renderer")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// process starts the program as a process, and returns its URL.
func process(t testing.TB, program string) string {
	t.Helper()
	at := free(t)
	_, port, _ := net.SplitHostPort(at)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "serve") // ended by running
	cmd.Env = append(os.Environ(), "PORT="+port)
	running(t, cmd, at, true)
	return "http://" + at
}

// lambda starts the emulator around the program, and returns its URL.
func lambda(t testing.TB, program string) string {
	t.Helper()
	at := free(t)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), emulator(t), "--runtime-interface-emulator-address", at, "--runtime-api-address", free(t), program)
	cmd.Env = append(os.Environ(), "AWS_LAMBDA_FUNCTION_TIMEOUT=20")
	running(t, cmd, at, false)
	return "http://" + at
}

// emulator returns the emulator's program.
func emulator(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(cache, "souk", "aws-lambda-rie-"+emulatorVersion)
	program := filepath.Join(folder, "aws-lambda-rie")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	// Beside its place, then moved: another test may do the same.
	scratch, err := os.MkdirTemp(folder, "build-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(scratch)
	cmd := exec.CommandContext(t.Context(), "go", "install", emulatorModule+"@"+emulatorVersion)
	cmd.Dir, cmd.Env = scratch, append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOBIN="+scratch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the emulator: %v\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(scratch, "aws-lambda-rie"), program); err != nil {
		t.Fatal(err)
	}
	return program
}

// running starts a process that listens at an address, in a group of its own, and ends it after
// the test. orderly says that it has to end well after SIGTERM.
func running(t testing.TB, cmd *exec.Cmd, at string, orderly bool) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if orderly {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		} else {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the emulator and its function
		}
		select {
		case err := <-ended:
			if orderly && err != nil {
				t.Errorf("%v\n%s", err, log.String())
			}
		case <-time.After(patience):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			t.Errorf("it does not end\n%s", log.String())
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for deadline := time.Now().Add(patience); ; {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", at)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("it ended: %v\n%s", err, log.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing listens at %s: %v", at, err)
		}
	}
}

// free is an address of this machine that nothing listens at.
func free(t testing.TB) string {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}

type result struct {
	status int
	body   []byte
}

func fetch(t testing.TB, at string) result {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

func post(t testing.TB, base string, body []byte) result {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+invocations, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

func do(t testing.TB, req *http.Request) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(req.Context(), patience)
	defer cancel()
	res, err := http.DefaultClient.Do(req.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return result{res.StatusCode, body}
}

func invoke(t testing.TB, base string, event []byte) (out events.LambdaFunctionURLResponse) {
	t.Helper()
	res := post(t, base, event)
	if err := json.Unmarshal(res.body, &out); err != nil || out.StatusCode == 0 {
		t.Fatal(fmt.Errorf("%d %s: %w", res.status, res.body, err))
	}
	return out
}
