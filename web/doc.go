// Package web is the http kit: virtual servers, locations, phases, requests and responses. modules/web implements the
// directives, web/h1 the wire.
package web
