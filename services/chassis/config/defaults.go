package config

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// Complete gives a configuration, a pointer to a struct, its defaults and then calls its
// method Validate() error, if it has one.
func Complete(cfg any) error {
	if err := SetDefaults(cfg); err != nil {
		return err
	}
	if v, ok := cfg.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// SetDefaults gives the zero fields of a configuration, a pointer to a struct, the
// defaults of their tags, so that one made in code is like one from variables. A zero
// that is meant must therefore be said by another value, such as a negative one.
func SetDefaults(cfg any) error { return setDefaults(reflect.ValueOf(cfg).Elem()) }

func setDefaults(v reflect.Value) error {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		if !field.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("env"), ",")
		if strings.TrimSpace(name) == "" {
			if value.Kind() == reflect.Struct {
				if err := setDefaults(value); err != nil {
					return err
				}
			}
			continue
		}
		if !value.IsZero() || !strings.Contains(options, "default=") {
			continue
		}
		// envconfig reads the default as it reads a variable.
		alone := reflect.New(reflect.StructOf([]reflect.StructField{{Name: field.Name, Type: field.Type, Tag: field.Tag}}))
		if err := envconfig.ProcessWith(context.Background(), &envconfig.Config{
			Target: alone.Interface(), Lookuper: envconfig.MapLookuper(nil),
		}); err != nil {
			return fmt.Errorf("default of %s: %w", field.Name, err)
		}
		value.Set(alone.Elem().Field(0))
	}
	return nil
}
