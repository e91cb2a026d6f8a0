package bench

import (
	"crypto/rand"
	"reflect"
	"regexp"
	"time"

	"github.com/google/uuid"
)

// renewer copies recorded arguments with new identities: every id that was made
// during the recording is replaced by a new one, the same one wherever it
// stands, so that the copy is another checkout and not a repeat.
type renewer struct {
	since time.Time
	ids   map[uuid.UUID]uuid.UUID
	words map[string]string
}

func newRenewer(since time.Time) *renewer {
	return &renewer{since: since, ids: map[uuid.UUID]uuid.UUID{}, words: map[string]string{}}
}

var (
	idInText = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	// ids of the provider, and numbers of orders.
	wordInText = regexp.MustCompile(`\b(?:pi|ch|re)_[A-Za-z0-9]{8,}\b|\bS-[0-9A-Z]{4,}(?:-[0-9A-Z]{4,})*\b`)
)

// isFresh says whether an id is a UUIDv7 of the recording.
func (r *renewer) isFresh(id uuid.UUID) bool {
	if id.Version() != 7 {
		return false
	}
	sec, nsec := id.Time().UnixTime()
	return !time.Unix(sec, nsec).Before(r.since)
}

// names says whether a value holds an id of the recording.
func (r *renewer) names(v any) bool {
	before := len(r.ids)
	r.renew(v)
	found := len(r.ids) > before
	clear(r.ids)
	clear(r.words)
	return found
}

func (r *renewer) id(id uuid.UUID) uuid.UUID {
	if !r.isFresh(id) {
		return id
	}
	out, ok := r.ids[id]
	if !ok {
		out = uuid.Must(uuid.NewV7())
		r.ids[id] = out
	}
	return out
}

func (r *renewer) text(s string) string {
	s = idInText.ReplaceAllStringFunc(s, func(t string) string { return r.id(uuid.MustParse(t)).String() })
	return wordInText.ReplaceAllStringFunc(s, func(t string) string {
		out, ok := r.words[t]
		if !ok {
			out = sameShape(t)
			r.words[t] = out
		}
		return out
	})
}

// sameShape replaces letters and digits behind the prefix by random ones.
func sameShape(s string) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	out := []byte(s)
	random := make([]byte, len(out))
	_, _ = rand.Read(random) // never fails
	prefix := true
	for i, c := range out {
		switch {
		case prefix:
			prefix = c != '_' && c != '-'
		case c != '-':
			out[i] = alphabet[random[i]%32]
		}
	}
	return string(out)
}

var uuidType = reflect.TypeFor[uuid.UUID]()

// renew returns a deep copy of v with new identities.
func (r *renewer) renew(v any) any {
	if v == nil {
		return nil
	}
	return r.value(reflect.ValueOf(v)).Interface()
}

func (r *renewer) value(v reflect.Value) reflect.Value {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Array && t.ConvertibleTo(uuidType):
		return reflect.ValueOf(r.id(v.Convert(uuidType).Interface().(uuid.UUID))).Convert(t)
	case t.Kind() == reflect.String:
		return reflect.ValueOf(r.text(v.String())).Convert(t)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		if v.IsNil() {
			return v
		}
		return reflect.ValueOf([]byte(r.text(string(v.Bytes())))).Convert(t)
	case t.Kind() == reflect.Slice && !v.IsNil():
		out := reflect.MakeSlice(t, v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(r.value(v.Index(i)))
		}
		return out
	case t.Kind() == reflect.Pointer && !v.IsNil():
		out := reflect.New(t.Elem())
		out.Elem().Set(r.value(v.Elem()))
		return out
	case t.Kind() == reflect.Interface && !v.IsNil():
		return r.value(v.Elem())
	case t.Kind() == reflect.Struct:
		out := reflect.New(t).Elem()
		out.Set(v) // with its unexported fields (a time has nothing else)
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				out.Field(i).Set(r.value(v.Field(i)))
			}
		}
		return out
	}
	return v
}
