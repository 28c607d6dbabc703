package web

import (
	"starling/conf"
	"starling/vars"
)

// AddConditions adds the arguments of a directive to the conditions of the same level.
func AddConditions(list *[]vars.Template[*Request], a *conf.Args) error {
	if a.FirstWrite(list) {
		*list = nil
	}
	for _, word := range a.Words {
		t, err := Side.Compile(a, word)
		if err != nil {
			return err
		}
		*list = append(*list, t)
	}
	return nil
}

// AnyTrue reports whether at least one of the conditions is neither empty nor "0".
func (r *Request) AnyTrue(conditions []vars.Template[*Request]) bool {
	for i := range conditions {
		if v := r.Expand(&conditions[i]); len(v) > 1 || len(v) == 1 && v[0] != '0' {
			return true
		}
	}
	return false
}
