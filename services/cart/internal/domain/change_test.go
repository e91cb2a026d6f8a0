package domain_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/cart/internal/domain"
)

func TestChangeValidate(t *testing.T) {
	t.Parallel()
	set := func(lines ...domain.Line) domain.Change { return domain.Change{Set: lines} }
	many := func(n int) domain.Change {
		var c domain.Change
		for i := range n {
			c.Set = append(c.Set, domain.Line{SKU: fmt.Sprintf("SKU-%d", i), Quantity: 1})
		}
		return c
	}
	tests := []struct {
		name   string
		change domain.Change
		field  string // of the error; empty if the change is valid
	}{
		{"one line", set(domain.Line{SKU: "85123A", Quantity: 6}), ""},
		{"nothing", set(), ""},
		{"removal", set(domain.Line{SKU: "85123A", Quantity: 0}), ""},
		{"most units", set(domain.Line{SKU: "A", Quantity: domain.MaxQuantity}), ""},
		{"most lines", many(domain.MaxLines), ""},
		{"longest SKU", set(domain.Line{SKU: strings.Repeat("é", domain.MaxSKULength), Quantity: 1}), ""},
		{"a version", domain.Change{Expected: 3}, ""},

		{"too many lines", many(domain.MaxLines + 1), "lines"},
		{"negative quantity", set(domain.Line{SKU: "A", Quantity: -1}), "lines[0].quantity"},
		{"too many units", set(domain.Line{SKU: "A", Quantity: domain.MaxQuantity + 1}), "lines[0].quantity"},
		{"overflowing units", set(domain.Line{SKU: "A", Quantity: 1<<63 - 1}), "lines[0].quantity"},
		{"same SKU twice", set(domain.Line{SKU: "A", Quantity: 1}, domain.Line{SKU: "B", Quantity: 1},
			domain.Line{SKU: "A", Quantity: 2}), "lines[2].sku"},
		{"empty SKU", set(domain.Line{SKU: "", Quantity: 1}), "lines[0].sku"},
		{"NUL in SKU", set(domain.Line{SKU: "A\x00B", Quantity: 1}), "lines[0].sku"},
		{"newline in SKU", set(domain.Line{SKU: "A\n", Quantity: 1}), "lines[0].sku"},
		{"invalid UTF-8", set(domain.Line{SKU: "A\xff", Quantity: 1}), "lines[0].sku"},
		{"overlong SKU", set(domain.Line{SKU: strings.Repeat("é", domain.MaxSKULength+1), Quantity: 1}), "lines[0].sku"},
		{"negative version", domain.Change{Expected: -1}, "expected_version"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.change.Validate()
			if tt.field == "" {
				if err != nil {
					t.Fatalf("valid change refused: %v", err)
				}
				return
			}
			var invalid *domain.InvalidError
			if !errors.As(err, &invalid) || !errors.Is(err, domain.ErrInvalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if invalid.Field != tt.field {
				t.Errorf("error is about %q, want %q", invalid.Field, tt.field)
			}
		})
	}
}

func TestAdditionValidate(t *testing.T) {
	t.Parallel()
	id := domain.UUID{1}
	for _, tt := range []struct {
		name  string
		add   domain.Addition
		field string // of the error; empty if the addition is valid
	}{
		{"one unit", domain.Addition{SKU: "A", Delta: 1, ID: id}, ""},
		{"most units", domain.Addition{SKU: "A", Delta: domain.MaxQuantity, ID: id}, ""},
		{"a version", domain.Addition{SKU: "A", Delta: 1, ID: id, Expected: 7}, ""},
		{"nothing", domain.Addition{SKU: "A", ID: id}, "delta"},
		{"less", domain.Addition{SKU: "A", Delta: -1, ID: id}, "delta"},
		{"too many units", domain.Addition{SKU: "A", Delta: domain.MaxQuantity + 1, ID: id}, "delta"},
		{"empty SKU", domain.Addition{Delta: 1, ID: id}, "sku"},
		{"NUL in SKU", domain.Addition{SKU: "A\x00", Delta: 1, ID: id}, "sku"},
		{"negative version", domain.Addition{SKU: "A", Delta: 1, ID: id, Expected: -1}, "expected_version"},
		{"no id", domain.Addition{SKU: "A", Delta: 1}, "change_id"},
	} {
		var invalid *domain.InvalidError
		switch err := tt.add.Validate(); {
		case tt.field == "" && err != nil:
			t.Errorf("%s: refused: %v", tt.name, err)
		case tt.field != "" && (!errors.As(err, &invalid) || invalid.Field != tt.field):
			t.Errorf("%s: %v, want an InvalidError about %s", tt.name, err, tt.field)
		}
	}
}

func TestVersionConflictNamesTheCurrentVersion(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("set lines: %w", &domain.VersionConflictError{Current: 7})
	if !errors.Is(err, domain.ErrVersionConflict) {
		t.Fatal("not ErrVersionConflict")
	}
	var conflict *domain.VersionConflictError
	if !errors.As(err, &conflict) || conflict.ErrorMetadata()["version"] != "7" {
		t.Errorf("metadata %v, want version 7", conflict.ErrorMetadata())
	}
}
