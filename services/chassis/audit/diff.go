package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Diff reduces two values, as their JSON has them, to what differs: of objects the
// members that do, anything else is one value. Equal objects are both empty.
func Diff(before, after any) (was, is any, err error) {
	b, err := decode(before)
	if err != nil {
		return nil, nil, err
	}
	a, err := decode(after)
	if err != nil {
		return nil, nil, err
	}
	was, is = diff(b, a)
	return was, is, nil
}

func diff(before, after any) (was, is any) {
	b, bOK := before.(map[string]any)
	a, aOK := after.(map[string]any)
	if !bOK || !aOK {
		return before, after
	}
	bs, as := map[string]any{}, map[string]any{}
	for name, old := range b {
		now, there := a[name]
		switch {
		case !there:
			bs[name] = old
		case !reflect.DeepEqual(old, now):
			bs[name], as[name] = diff(old, now)
		}
	}
	for name, now := range a {
		if _, there := b[name]; !there {
			as[name] = now
		}
	}
	return bs, as
}

func decode(v any) (out any, err error) {
	text, err := encode(v)
	if err != nil || text == "" {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // 64-bit integers stay as they are
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return out, nil
}

// encode is a value's JSON, with members of maps in order, or "" for nil.
func encode(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
