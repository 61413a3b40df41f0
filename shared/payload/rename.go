package payload

import (
	"github.com/go-faster/jx"
)

// names takes what members are to be read as.
func (s *schema) names(rename map[string]string) {
	if len(rename) == 0 {
		return
	}
	s.rename, s.aside = rename, make(map[string]bool, len(rename))
	for _, to := range rename {
		if _, elsewhere := rename[to]; !elsewhere {
			s.aside[to] = true
		}
	}
}

// member reads one field of the body by the name that it should have had. What is
// wrong with it is said under the name that it has.
func (s *schema) member(name string) error {
	if to, ok := s.rename[name]; ok {
		return s.top(to)
	}
	if s.aside[name] {
		return s.skip()
	}
	return s.top(name)
}

// present gives those of rename whose member is at the top of body. A body that is
// no JSON object has none, which reading it says better.
func present(rename map[string]string, body []byte) map[string]string {
	if len(rename) == 0 {
		return nil
	}
	there := make(map[string]string, len(rename))
	d := jx.DecodeBytes(body)
	if d.Next() != jx.Object {
		return nil
	}
	err := d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		if to, ok := rename[string(key)]; ok {
			there[string(key)] = to
		}
		return d.Skip()
	})
	if err != nil {
		return nil
	}
	return there
}
