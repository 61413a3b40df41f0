package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
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

// described is a part of the schema, as far as the tests below read it.
type described struct {
	Ref         string               `json:"$ref"`
	Type        any                  `json:"type"`
	Description string               `json:"description"`
	Default     any                  `json:"default"`
	InWords     string               `json:"x-default"`
	Unit        string               `json:"x-unit"`
	Required    []string             `json:"required"`
	Properties  map[string]described `json:"properties"`
	Items       *described           `json:"items"`
	More        json.RawMessage      `json:"additionalProperties"`
	Defs        map[string]described `json:"$defs"`
}

func readDescribed(t *testing.T) described {
	t.Helper()
	var root described
	require.NoError(t, json.Unmarshal([]byte(Schema()), &root))
	return root
}

// resolve follows references, lists and mappings with free keys.
func (d described) resolve(t *testing.T, root described) described {
	t.Helper()
	for {
		var more described
		switch {
		case d.Ref != "":
			next, ok := root.Defs[strings.TrimPrefix(d.Ref, "#/$defs/")]
			require.True(t, ok, d.Ref)
			d = next
		case d.Items != nil:
			d = *d.Items
		case strings.HasPrefix(string(d.More), "{"):
			require.NoError(t, json.Unmarshal(d.More, &more))
			d = more
		default:
			return d
		}
	}
}

// TestSchemaExplainsEveryKey: an editor and the reference show of each key what it means,
// what counts without it, and the unit of its number.
func TestSchemaExplainsEveryKey(t *testing.T) {
	t.Parallel()
	root := readDescribed(t)
	keys := 0
	var walk func(at string, d described)
	walk = func(at string, d described) {
		for name, p := range d.Properties {
			keys++
			path, end := at+"/"+name, p.resolve(t, root)
			require.Greater(t, len(p.Description), 10, "%s has no description", path)
			require.True(t, strings.HasSuffix(p.Description, "."), "%s: %s", path, p.Description)
			if len(end.Properties) > 0 {
				walk(path, end)
				continue
			}

			known := p.Default != nil || p.InWords != "" || slices.Contains(d.Required, name)
			require.True(t, known, "%s says neither its default nor that it is required", path)
			if number := fmt.Sprint(end.Type); strings.Contains(number, "integer") || strings.HasSuffix(p.Ref, "/duration") {
				require.NotEmpty(t, p.Unit+end.Unit, "%s has no unit", path)
			}
		}
	}
	walk("", root)
	require.Greater(t, keys, 100)
}

// withEverything has each mapping of a configuration, and of each the required keys alone.
const withEverything = `
sources:
  - name: s
    path: /s
    profile: mailparse
    schemes: [timestamp-hmac-header]
    secrets: [{ref: "env:A"}]
    tenant: t
    limit: {}
tenants: [{name: t}]
destinations: [{name: d, url: "https://d.example/", secret: {ref: "env:A"}, breaker: {}}]
routes: [{name: r, to: [d], when: {auth: {}}}]
attachments: {}
scanner: {}
operators: [{name: o, role: viewer, token: {ref: "env:A"}}]
operator: {}
retry: {}
ingress: {tls: {certificate: c, key: k}, throttle: {}, backpressure: {}, starts: {}}
encryption: {keys: [{id: k, ref: "env:A"}]}
access:
  public_url: https://m.example
  session: {}
  oidc: {issuer: "https://i.example", client_id: c, groups: [{group: g, role: viewer}]}
holds: {reasons: {infected: {}}}
discard: {}
secrets: {}
`

// TestSchemaHasTheDefaultsOfTheProgram: to write down every default changes nothing.
func TestSchemaHasTheDefaultsOfTheProgram(t *testing.T) {
	t.Parallel()
	root := readDescribed(t)
	written := 0
	var write func(value any, d described)
	write = func(value any, d described) {
		switch value := value.(type) {
		case []any:
			for _, one := range value {
				write(one, d)
			}
		case map[string]any:
			if len(d.Properties) == 0 {
				return
			}
			for name, p := range d.Properties {
				if _, there := value[name]; !there && p.Default != nil {
					value[name] = p.Default
					written++
				}
				write(value[name], p.resolve(t, root))
			}
		}
	}

	var document map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(withEverything), &document))
	write(document, root)
	require.Greater(t, written, 30)
	text, err := yaml.Marshal(document)
	require.NoError(t, err)
	require.Equal(t, settings(t, withEverything), settings(t, string(text)), "%s", text)
}

// settings returns what a file sets, with its defaults, as text.
func settings(t *testing.T, text string) string {
	t.Helper()
	f, err := load(t.Context(), "m.yaml", []byte(text), RoleNone, resolver(environment(nil)), now())
	require.NoError(t, err)
	f.text = places{}
	for i, d := range f.Destinations {
		f.Destinations[i].Idempotent = nil
		f.Destinations[i].Name += fmt.Sprint(d.HonoursKey())
	}
	f.Access.PublicURL += fmt.Sprint(f.Access.AllowsToken())
	f.Access.TokenLogin = nil
	return strings.ReplaceAll(fmt.Sprintf("%+v", *f), "map[]", "[]")
}
