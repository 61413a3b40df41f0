package payload

import (
	"github.com/go-faster/jx"
)

// setRename sets the names that members are read as.
func (s *schema) setRename(rename map[string]string) {
	if len(rename) == 0 {
		return
	}
	s.rename, s.aside = rename, make(map[string]bool, len(rename))
	for _, to := range rename {
		if _, renamed := rename[to]; !renamed {
			s.aside[to] = true
		}
	}
}

// member reads a field of the body, renamed if so configured. Breaches are reported
// under its original name.
func (s *schema) member(name string) error {
	if to, ok := s.rename[name]; ok {
		return s.topField(to)
	}
	if s.aside[name] {
		return s.skip()
	}
	return s.topField(name)
}

// present returns the entries of rename whose member is at the top level of body. It
// returns none for a body that is no JSON object; reading it returns the error.
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
