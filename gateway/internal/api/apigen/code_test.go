package main

import (
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// What the generated code would not check can't be written into the document.
func TestUncheckedIsRefused(t *testing.T) {
	t.Parallel()
	const document = `
openapi: 3.0.3
info: {title: t, version: '1'}
paths:
  /things:
    post:
      operationId: MakeThing
      security: []
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Thing'}
      responses: {'204': {description: Made.}}
components:
  schemas:
    Thing:
      description: A thing.
      type: object
      additionalProperties: false
      properties:
        size: {type: integer, format: int64, minimum: 1}
        name: {type: string, maxLength: 5}
`
	for _, tc := range []struct{ old, changed, refusal string }{
		{"", "", ""},
		{"minimum: 1", "multipleOf: 2", "Thing.size: MultipleOf"},
		{"minimum: 1", "minimum: 1, exclusiveMinimum: true", "Thing.size: ExclusiveMin"},
		{"maxLength: 5", "maxLength: 5, nullable: true", "Thing.name: Nullable"},
		{"maxLength: 5", "format: hostname", "Thing.name: format hostname"},
		{"{type: integer, format: int64, minimum: 1}", "{type: number}", "type &[number]"},
		{"additionalProperties: false", "additionalProperties: true", "Thing: not additionalProperties"},
		{"security: []", "tags: [x]", "MakeThing: no security"},
		{"security: []", "security: [{operator: []}]", "MakeThing: x-scope and the security scheme operator go together"},
		{"security: []", "security: []\n      x-scope: read", "MakeThing: x-scope and the security scheme operator go together"},
		{"security: []", "security: [{operator: []}]\n      x-scope: all", `MakeThing: x-scope "all": want one of read`},
		{"security: []", "security: [{operator: []}]\n      x-scope: 'read,money'", `MakeThing: x-scope "read,money": want one of read`},
		{"security: []", "security: [{}, {operator: []}]\n      x-scope: money", ""},
		{"security: []", "security: []\n      deprecated: true", "MakeThing: deprecated, x-deprecated and x-sunset go together"},
		{"security: []", "security: []\n      x-sunset: '2027-01-01'", "MakeThing: deprecated, x-deprecated and x-sunset go together"},
		{"security: []", "security: []\n      deprecated: true\n      x-deprecated: '2026-12-01'\n      x-sunset: soon", `MakeThing: "soon" is no day`},
		{"security: []", "security: []\n      deprecated: true\n      x-deprecated: '2026-12-01'\n      x-sunset: '2027-12-01'", ""},
	} {
		doc, err := openapi3.NewLoader().LoadFromData([]byte(strings.Replace(document, tc.old, tc.changed, 1)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = code(doc)
		if tc.refusal == "" && err != nil || tc.refusal != "" && (err == nil || !strings.Contains(err.Error(), tc.refusal)) {
			t.Errorf("%s: %v, want %q", tc.changed, err, tc.refusal)
		}
	}
}
