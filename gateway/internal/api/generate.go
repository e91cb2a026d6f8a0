package api

//go:generate go run ./apigen openapi.yaml openapi.gen.go docs.gen.html
