package stripesim

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// params are a request's form fields, by their name up to the first bracket.
// What nobody asks for is an unknown parameter.
type params struct {
	values map[string][]param
	asked  map[string]bool
	origin string    // the simulator as the caller reaches it
	err    *apiError // the first value that could not be read
}

// param is one field: name[sub]=value; sub is empty for a plain field.
type param struct{ sub, value string }

func newParams(form url.Values) *params {
	p := &params{values: make(map[string][]param, len(form)), asked: map[string]bool{}}
	for key, values := range form {
		name, sub, _ := strings.Cut(key, "[")
		sub = strings.TrimSuffix(sub, "]")
		for _, v := range values {
			p.values[name] = append(p.values[name], param{sub, v})
		}
	}
	return p
}

// fingerprint identifies what a request asks for.
type fingerprint [16]byte

// fingerprintOf covers method, path and fields, the fields in any order.
func fingerprintOf(method, path string, form url.Values) fingerprint {
	// Encode sorts by name.
	sum := sha256.Sum256([]byte(method + " " + path + "\n" + form.Encode()))
	return fingerprint(sum[:16])
}

// MarshalText implements encoding.TextMarshaler.
func (f fingerprint) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, f[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *fingerprint) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(f) {
		return hex.ErrLength
	}
	_, err := hex.Decode(f[:], text)
	return err
}

func (p *params) get(name string) (string, bool) {
	p.asked[name] = true
	for _, v := range p.values[name] {
		if v.sub == "" {
			return v.value, true
		}
	}
	return "", false
}

// text returns a string, empty when there is none. It does not hold on to the
// request's body.
func (p *params) text(name string) string {
	s, _ := p.get(name)
	return strings.Clone(s)
}

// integer returns a whole number and whether there is one.
func (p *params) integer(name string) (int64, bool) {
	s, ok := p.get(name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		p.fail(invalid(name, "parameter_invalid_integer", "Invalid integer: %s", s))
	}
	return n, true
}

func (p *params) boolean(name string) bool {
	s, ok := p.get(name)
	if !ok || s == "false" {
		return false
	}
	if s != "true" {
		p.fail(invalid(name, "", "Invalid boolean: %s", s))
	}
	return true
}

// choice returns one of the allowed values, or empty when there is none.
func (p *params) choice(name string, allowed ...string) string {
	s, ok := p.get(name)
	if !ok {
		return ""
	}
	if i := slices.Index(allowed, s); i >= 0 {
		return allowed[i]
	}
	p.fail(invalid(name, "", "Invalid %s: must be one of %s", name, strings.Join(allowed, ", ")))
	return ""
}

// list returns the values of name[], name[0], name[1], ...
func (p *params) list(name string) []string {
	p.asked[name] = true
	fields := slices.Clone(p.values[name])
	slices.SortStableFunc(fields, func(a, b param) int {
		x, _ := strconv.Atoi(a.sub)
		y, _ := strconv.Atoi(b.sub)
		return cmp.Compare(x, y)
	})
	var out []string
	for _, f := range fields {
		out = append(out, f.value)
	}
	return out
}

// nested returns the value of name[sub].
func (p *params) nested(name, sub string) string {
	p.asked[name] = true
	for _, v := range p.values[name] {
		if v.sub == sub {
			return v.value
		}
	}
	return ""
}

// nestedInteger returns the whole number in name[sub] and whether there is one.
func (p *params) nestedInteger(name, sub string) (int64, bool) {
	s := p.nested(name, sub)
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		p.fail(invalid(name, "parameter_invalid_integer", "Invalid integer: %s", s))
	}
	return n, true
}

const (
	maxMetadata      = 50
	maxMetadataKey   = 40
	maxMetadataValue = 500
)

// metadata returns the fields of metadata[...], sorted by key.
func (p *params) metadata() metadata {
	p.asked["metadata"] = true
	fields := p.values["metadata"]
	if len(fields) > maxMetadata {
		p.fail(invalid("metadata", "", "Metadata cannot have more than %d keys", maxMetadata))
		return nil
	}
	var out metadata
	for _, f := range fields {
		switch {
		case f.sub == "":
			if f.value != "" {
				p.fail(invalid("metadata", "", "Invalid object"))
			}
		case len(f.sub) > maxMetadataKey:
			p.fail(invalid("metadata", "", "Metadata keys must be at most %d characters", maxMetadataKey))
		case len(f.value) > maxMetadataValue:
			p.fail(invalid("metadata["+f.sub+"]", "", "Metadata values must be at most %d characters", maxMetadataValue))
		default:
			out = append(out, pair{intern(f.sub), strings.Clone(f.value)})
		}
	}
	return out.sorted()
}

// ignore takes parameters that change nothing here.
func (p *params) ignore(names ...string) {
	for _, name := range names {
		p.asked[name] = true
	}
}

func (p *params) fail(err *apiError) {
	if p.err == nil {
		p.err = err
	}
}

// check returns the first bad value, else the first field nobody asked for.
func (p *params) check() *apiError {
	if p.err != nil {
		return p.err
	}
	var unknown []string
	for name := range p.values {
		if !p.asked[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return invalid(slices.Min(unknown), "parameter_unknown", "Received unknown parameter: %s", slices.Min(unknown))
}
