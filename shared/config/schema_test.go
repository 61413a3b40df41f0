package config

import (
	"maps"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaFields lists the leaves of a schema as /list/field.
func schemaFields(schema *jsonschema.Schema) map[string]bool {
	out := map[string]bool{}
	var walk func(at string, s *jsonschema.Schema)
	walk = func(at string, s *jsonschema.Schema) {
		for s.Ref != nil {
			s = s.Ref
		}
		if items, ok := s.Items2020, s.Items2020 != nil; ok {
			walk(at, items)
			return
		}
		if values, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
			walk(at, values)
			return
		}
		if len(s.Properties) == 0 {
			out[at] = true
			return
		}
		for name := range maps.Keys(s.Properties) {
			walk(at+"/"+name, s.Properties[name])
		}
	}
	walk("", schema)
	return out
}
