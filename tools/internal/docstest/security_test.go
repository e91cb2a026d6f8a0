package docstest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/internal/topology"
)

const securityPage = "docs/security.md"

// asvs are the sections of OWASP ASVS 5.0.0 with the level of each requirement in turn:
// 1.1.1 and 1.1.2 are of level 2.
var asvs = map[string]string{
	"1.1": "22", "1.2": "1111122223", "1.3": "112222222223", "1.4": "222", "1.5": "123",
	"2.1": "122", "2.2": "112", "2.3": "12223", "2.4": "23",
	"3.1": "3", "3.2": "113", "3.3": "12223", "3.4": "11222233", "3.5": "11122333", "3.6": "3", "3.7": "22333",
	"4.1": "12233", "4.2": "23333", "4.3": "22", "4.4": "1222",
	"5.1": "2", "5.2": "112333", "5.3": "113", "5.4": "222",
	"6.1": "122", "6.2": "111111112222", "6.3": "11223333", "6.4": "112233", "6.5": "22222333", "6.6": "2223", "6.7": "33", "6.8": "2222",
	"7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "223", "7.6": "22",
	"8.1": "1233", "8.2": "1123", "8.3": "133", "8.4": "23",
	"9.1": "111", "9.2": "1222",
	"10.1": "22", "10.2": "223", "10.3": "22223", "10.4": "1111122222233333", "10.5": "22222", "10.6": "22", "10.7": "222",
	"11.1": "2233", "11.2": "22233", "11.3": "11233", "11.4": "1222", "11.5": "23", "11.6": "23", "11.7": "33",
	"12.1": "12233", "12.2": "11", "12.3": "22223",
	"13.1": "2333", "13.2": "222223", "13.3": "2233", "13.4": "1222233",
	"14.1": "22", "14.2": "12223333", "14.3": "122",
	"15.1": "12233", "15.2": "12233", "15.3": "1222222", "15.4": "3333",
	"16.1": "2", "16.2": "22222", "16.3": "2222", "16.4": "222", "16.5": "2223",
	"17.1": "23", "17.2": "22223333", "17.3": "22",
}

var (
	requirementRow = regexp.MustCompile(`(?m)^\| (\d+\.\d+\.\d+) \| (\d) \| [^|]+ \| (\w+) \| ([^|]*)\| ([^|]*)\|$`)
	inapplicable   = regexp.MustCompile(`(?m)^\| ((?:\d+\.\d+\.\d+(?: to \d+\.\d+\.\d+)?(?:, )?)+) \| `)
	requirementID  = regexp.MustCompile(`\d+\.\d+\.\d+`)
	securitySums   = regexp.MustCompile(`Of the (\d+)\nrequirements of levels 1 and 2, (\d+) apply: (\d+) are kept with a test, (\d+) without one, (\d+) are open`)
)

// TestSecurityRequirements: each requirement of levels 1 and 2 has one row, with its
// level, or a reason why it does not apply; what is tested names a test, what is open
// says what and is in the list by importance; and the sums on the page are right.
func TestSecurityRequirements(t *testing.T) {
	t.Parallel()
	page := readPage(t)
	seen := map[string]bool{}
	once := func(id string) {
		if seen[id] {
			t.Errorf("%s stands there twice", id)
		}
		seen[id] = true
	}
	_, list, _ := strings.Cut(page, "\n### Open, by importance\n")
	list, _, _ = strings.Cut(list, "\n### ")
	listed := map[string]bool{}
	for _, id := range requirementID.FindAllString(list, -1) {
		listed[id] = true
	}
	states := map[string]int{}
	rows := requirementRow.FindAllStringSubmatch(page, -1)
	for _, row := range rows {
		id, level, state, where, evidence := row[1], row[2], row[3], strings.TrimSpace(row[4]), strings.TrimSpace(row[5])
		once(id)
		if want := levelOf(id); level != want {
			t.Errorf("%s is of level %q, not %s", id, want, level)
		}
		states[state]++
		if listed[id] != (state == "open") {
			t.Errorf("%s is %s, and in the list of what is open: %t", id, state, listed[id])
		}
		switch named := testName.MatchString(evidence); state {
		case "tested":
			if !named || where == "" {
				t.Errorf("%s is tested: by what, and where is it kept?", id)
			}
		case "kept":
			if named || where == "" {
				t.Errorf("%s is kept without a test: where, and then what is %q?", id, evidence)
			}
		case "open":
			if evidence == "" {
				t.Errorf("%s is open: what is?", id)
			}
		default:
			t.Errorf("%s is %q", id, state)
		}
	}
	for _, list := range inapplicable.FindAllStringSubmatch(page[strings.Index(page, "### Not applicable"):], -1) {
		for entry := range strings.SplitSeq(list[1], ", ") {
			first, last, ranged := strings.Cut(entry, " to ")
			if !ranged {
				last = first
			}
			section, from := split(t, first)
			_, to := split(t, last)
			for n := from; n <= to; n++ {
				once(fmt.Sprintf("%s.%d", section, n))
			}
		}
	}
	all := 0
	for section, levels := range asvs {
		for i, level := range levels {
			if id := fmt.Sprintf("%s.%d", section, i+1); level < '3' {
				if all++; !seen[id] {
					t.Errorf("%s is missing", id)
				}
				delete(seen, id)
			}
		}
	}
	for id := range seen {
		t.Errorf("%s is none of levels 1 and 2", id)
	}
	sums := securitySums.FindStringSubmatch(page)
	if want := []int{all, len(rows), states["tested"], states["kept"], states["open"]}; sums == nil || fmt.Sprint(sums[1:]) != fmt.Sprint(want) {
		t.Errorf("the sums are %v, want %v", sums, want)
	}
}

func levelOf(id string) string {
	at := strings.LastIndexByte(id, '.')
	n, err := strconv.Atoi(id[at+1:])
	if levels := asvs[id[:at]]; err == nil && n > 0 && n <= len(levels) {
		return levels[n-1 : n]
	}
	return ""
}

func split(t *testing.T, id string) (section string, n int) {
	t.Helper()
	at := strings.LastIndexByte(id, '.')
	n, err := strconv.Atoi(id[at+1:])
	if err != nil {
		t.Fatal(err)
	}
	return id[:at], n
}

// TestThreatModelNamesTheParts: its picture has each part that runs in a shop.
func TestThreatModelNamesTheParts(t *testing.T) {
	t.Parallel()
	_, picture, _ := strings.Cut(readPage(t), "```mermaid\n")
	picture, _, _ = strings.Cut(picture, "```")
	for _, part := range topology.Processes() {
		if !strings.Contains(picture, part.Name) || part.Database && !strings.Contains(picture, part.Name+"-db[(PostgreSQL)]") {
			t.Errorf("%s, or its database, is not in the picture", part.Name)
		}
	}
}

// cryptography are the packages of the standard library with keys, hashes and
// randomness. Others, such as crypto/md5, crypto/des and golang.org/x/crypto, are not used.
var cryptography = map[string]bool{
	"crypto/aes": true, "crypto/cipher": true, "crypto/ecdsa": true, "crypto/ed25519": true, "crypto/elliptic": true, "crypto/hkdf": true,
	"crypto/hmac": true, "crypto/rand": true, "crypto/sha256": true, "crypto/subtle": true, "crypto/tls": true, "crypto/x509": true, "crypto/x509/pkix": true,
	"crypto/pbkdf2": true, "crypto/sha512": true, // SCRAM-SHA-512 of Kafka
}

// TestCryptographyIsListed: each package of what ships that uses cryptography is in the
// inventory, and uses what the inventory allows.
func TestCryptographyIsListed(t *testing.T) {
	t.Parallel()
	_, inventory, _ := strings.Cut(readPage(t), "\n## Keys\n")
	inventory, _, _ = strings.Cut(inventory, "\n## ")
	users := 0
	for _, module := range []string{"proto", "services", "gateway"} {
		err := filepath.WalkDir(filepath.Join(root, module), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			folder, err := filepath.Rel(root, filepath.Dir(path))
			for _, i := range file.Imports {
				name, _ := strconv.Unquote(i.Path.Value)
				if !strings.HasPrefix(name, "crypto/") && !strings.HasPrefix(name, "golang.org/x/crypto") {
					continue
				}
				users++
				if !cryptography[name] {
					t.Errorf("%s imports %s", path, name)
				}
				if !strings.Contains(inventory, "`"+filepath.ToSlash(folder)+"`") {
					t.Errorf("%s imports %s: %s has no place for %s", path, name, securityPage, folder)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if users < 20 {
		t.Errorf("only %d imports of cryptography", users)
	}
}

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, securityPage))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}
