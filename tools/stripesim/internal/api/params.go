package api

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

// params are a request's form fields, by their name up to the first bracket.
// A field that the handler does not read is an unknown parameter.
type params struct {
	values map[string][]param
	read   map[string]bool
	err    *store.Error // the first value that could not be read
}

// param is one field: name[sub]=value; sub is empty for a plain field.
type param struct{ sub, value string }

func newParams(form url.Values) *params {
	p := &params{values: make(map[string][]param, len(form)), read: map[string]bool{}}
	for key, values := range form {
		name, sub, _ := strings.Cut(key, "[")
		sub = strings.TrimSuffix(sub, "]")
		for _, v := range values {
			p.values[name] = append(p.values[name], param{sub, v})
		}
	}
	return p
}

func (p *params) get(name string) (string, bool) {
	p.read[name] = true
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

// integer returns a whole number, nil when there is none.
func (p *params) integer(name string) *int64 {
	s, ok := p.get(name)
	if !ok {
		return nil
	}
	return p.parseInteger(name, s)
}

func (p *params) parseInteger(name, s string) *int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		p.fail(store.Invalid(name, "parameter_invalid_integer", "Invalid integer: %s", s))
	}
	return &n
}

func (p *params) boolean(name string) bool {
	s, ok := p.get(name)
	if !ok || s == "false" {
		return false
	}
	if s != "true" {
		p.fail(store.Invalid(name, "", "Invalid boolean: %s", s))
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
	p.fail(store.Invalid(name, "", "Invalid %s: must be one of %s", name, strings.Join(allowed, ", ")))
	return ""
}

// list returns the values of name[], name[0], name[1], ...
func (p *params) list(name string) []string {
	p.read[name] = true
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
	p.read[name] = true
	for _, v := range p.values[name] {
		if v.sub == sub {
			return v.value
		}
	}
	return ""
}

// nestedInteger returns the whole number in name[sub], nil when there is none.
func (p *params) nestedInteger(name, sub string) *int64 {
	s := p.nested(name, sub)
	if s == "" {
		return nil
	}
	return p.parseInteger(name, s)
}

const (
	maxMetadata      = 50
	maxMetadataKey   = 40
	maxMetadataValue = 500
)

// metadata returns the fields of metadata[...].
func (p *params) metadata() store.Metadata {
	p.read["metadata"] = true
	fields := p.values["metadata"]
	if len(fields) > maxMetadata {
		p.fail(store.Invalid("metadata", "", "Metadata cannot have more than %d keys", maxMetadata))
		return nil
	}
	var out []store.Pair
	for _, f := range fields {
		switch {
		case f.sub == "":
			if f.value != "" {
				p.fail(store.Invalid("metadata", "", "Invalid object"))
			}
		case len(f.sub) > maxMetadataKey:
			p.fail(store.Invalid("metadata", "", "Metadata keys must be at most %d characters", maxMetadataKey))
		case len(f.value) > maxMetadataValue:
			p.fail(store.Invalid("metadata["+f.sub+"]", "", "Metadata values must be at most %d characters", maxMetadataValue))
		default:
			out = append(out, store.Pair{Key: f.sub, Value: strings.Clone(f.value)})
		}
	}
	return store.NewMetadata(out)
}

// ignore accepts parameters that have no effect here.
func (p *params) ignore(names ...string) {
	for _, name := range names {
		p.read[name] = true
	}
}

func (p *params) fail(err *store.Error) {
	if p.err == nil {
		p.err = err
	}
}

// check returns the first bad value, else the first field that was not read.
func (p *params) check() *store.Error {
	if p.err != nil {
		return p.err
	}
	var unknown []string
	for name := range p.values {
		if !p.read[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return store.Invalid(slices.Min(unknown), "parameter_unknown", "Received unknown parameter: %s", slices.Min(unknown))
}
