package h2client

import (
	"starling/vars"
	"starling/web"
	"starling/web/forward"
	"starling/web/h1"
)

// SetField is a PREFIX_set_header with a value.
type SetField struct {
	ID    h1.Known
	name  []byte
	value *vars.Template[*web.Request]
}

// ofConnection are headers that must not be sent in HTTP/2 (RFC 9113, 8.2.2), even if PREFIX_set_header names them.
var ofConnection = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Upgrade"}

// SetFields are those of a plan that HTTP/2 can have.
func SetFields(set []forward.SetHeader) (all []SetField) {
	var banned forward.NameSet
	for _, name := range ofConnection {
		banned.Add(name)
	}
	for i := range set {
		h := &set[i]
		name := []byte(h.Name)
		id := h1.Identify(name)
		if !banned.Has(&h1.Header{Name: name, ID: id}) {
			all = append(all, SetField{id, name, &h.Value})
		}
	}
	return all
}

// Set adds fields with their values to the head. It returns the scratch memory, which may have grown.
func (w *Wire) Set(fields []SetField, r *web.Request, scratch []byte) []byte {
	for i := range fields {
		h := &fields[i]
		if scratch = forward.AppendValue(scratch[:0], h.value, r); len(scratch) > 0 {
			w.Field(h.ID, h.name, scratch)
		}
	}
	return scratch
}

// AppendAuthority appends the value of PREFIX_set_header Host, or the host of PREFIX_pass.
func AppendAuthority(dst []byte, plan *forward.HeadPlan, x *forward.Exchange) []byte {
	from := len(dst)
	if plan.Host != nil {
		dst = forward.AppendValue(dst, plan.Host, x.Request)
	}
	if len(dst) == from {
		dst = append(dst, x.To.Host...)
	}
	return dst
}
