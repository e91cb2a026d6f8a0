package api

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// checkNames refuses what encoding/json lets pass: a field that is there twice,
// of which the last would win, and one in other letters ("SKU" for "sku"). Both
// are read differently by another parser, such as one of a proxy in front. data
// is known to be JSON whose fields are known but for their case.
func checkNames(data []byte) error {
	walk := nameWalk{dec: json.NewDecoder(bytes.NewReader(data))}
	walk.dec.UseNumber()
	if err := walk.value(""); err != nil {
		return err
	}
	if len(walk.wrong) > 0 {
		return invalid(walk.wrong...)
	}
	return nil
}

type nameWalk struct {
	dec   *json.Decoder
	wrong checks
}

// value reads one value, found at the path.
func (w *nameWalk) value(path string) error {
	token, err := w.dec.Token()
	if err != nil {
		return decodeError(err)
	}
	switch token {
	case json.Delim('{'):
		return w.object(path)
	case json.Delim('['):
		return w.array(path)
	}
	return nil
}

func (w *nameWalk) object(path string) error {
	seen := make(map[string]bool, 8)
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return decodeError(err)
		}
		name, _ := token.(string)
		field := name
		if path != "" {
			field = path + "." + name
		}
		switch {
		case !plainName(name):
			w.wrong.add(field, "is not a known field: names are in small letters")
		case seen[name]:
			w.wrong.add(field, "is there more than once")
		}
		seen[name] = true
		if err := w.value(field); err != nil {
			return err
		}
	}
	return w.end()
}

func (w *nameWalk) array(path string) error {
	for i := 0; w.dec.More(); i++ {
		if err := w.value(path + "[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
	}
	return w.end()
}

// end reads the closing bracket.
func (w *nameWalk) end() error {
	if _, err := w.dec.Token(); err != nil {
		return decodeError(err)
	}
	return nil
}

// plainName reports that a name is in the letters that all fields of
// openapi.yaml are in, so that equal but for case means equal.
func plainName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
}
