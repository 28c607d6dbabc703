// Package observe is what the outside sees of a running starling: error log and access logs with their reopening,
// and the resources of the API, which modules contribute.
package observe
