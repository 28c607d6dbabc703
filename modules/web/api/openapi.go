package api

import (
	_ "embed"
	"net/http"

	"starling/admin"
	"starling/web"
)

// documentName is the path of the document below the location.
const documentName = "openapi.yaml"

// document describes the API in OpenAPI 3.0. A test of the modules compares it with a running node.
//
//go:embed openapi.yaml
var document []byte

// document answers with the document.
func (v *endpoint) document(r *web.Request, call *admin.Call) web.Result {
	if call.Method != http.MethodGet {
		return v.fail(r, admin.MethodNotAllowed())
	}
	notCached(r)
	return r.Respond(http.StatusOK, "application/yaml", document)
}
