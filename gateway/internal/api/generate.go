package api

//go:generate go run ./codegen github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 oapi-codegen.yaml openapi.yaml
//go:generate go run ./docgen openapi.yaml docs.gen.html
