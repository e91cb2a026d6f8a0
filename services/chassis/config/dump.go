package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
)

// Dump returns the fields of a configuration struct that have a variable, by
// the name of the variable without the process's prefix, with secrets redacted.
// It is what a process logs when it starts.
func Dump(cfg any) []slog.Attr {
	v := reflect.ValueOf(cfg)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	return dump(nil, "", v)
}

// LogValue returns Dump as one group, for slog.Any("config", ...).
func LogValue(cfg any) slog.Value { return slog.GroupValue(Dump(cfg)...) }

func dump(attrs []slog.Attr, prefix string, v reflect.Value) []slog.Attr {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("env"), ",")
		name = strings.TrimSpace(name)
		value := v.Field(i)
		switch {
		case name != "":
			attrs = append(attrs, slog.String(prefix+name, fmt.Sprint(value.Interface())))
		case value.Kind() == reflect.Struct:
			attrs = dump(attrs, prefix+option(options, "prefix="), value)
		}
	}
	return attrs
}

// option finds the value of one option of an env tag.
func option(options, key string) string {
	for o := range strings.SplitSeq(options, ",") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(o), key); ok {
			return value
		}
	}
	return ""
}
