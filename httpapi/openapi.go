package httpapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"

	"sigs.k8s.io/yaml"

	"secretsync/gitstore/definition"
	"secretsync/httpapi/exchange"
)

//go:embed openapi.yaml
var openAPISource []byte

// openAPIDocument is the description as JSON. What a definition is, it takes
// from where that is decided.
func openAPIDocument() ([]byte, error) {
	var document, schema map[string]any
	if err := yaml.UnmarshalStrict(openAPISource, &document); err != nil {
		return nil, fmt.Errorf("the API's description: %w", err)
	}
	if err := json.Unmarshal(definition.Schema(), &schema); err != nil {
		return nil, fmt.Errorf("the schema of definitions: %w", err)
	}
	delete(schema, "$schema") // the description as a whole says which draft
	document["components"].(map[string]any)["schemas"].(map[string]any)["Definition"] = schema
	return json.Marshal(document)
}

func (s *Server) serveOpenAPI(*exchange.Exchange) (*exchange.Answer, error) {
	return &exchange.Answer{Status: http.StatusOK, Body: s.description}, nil
}
