// Package web is the http kit: virtual servers, locations, phases, requests and responses. What a directive does is
// said in modules/web; the wire is in web/h1.
package web
