package config

import (
	_ "embed" // the schema
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed config.schema.json
var schemaText string

const schemaURL = "urn:mailroom:config"

// Schema returns the JSON Schema of the file. Beside the standard keywords, a key has
// x-default, the default in words where it is no fixed value, and x-unit, the unit of a
// number.
func Schema() string { return schemaText }

// compileSchema also returns the description of each definition: what its value must be.
func compileSchema() (*jsonschema.Schema, map[string]string, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schemaText))
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration schema: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaURL, doc); err != nil {
		return nil, nil, fmt.Errorf("add configuration schema: %w", err)
	}
	schema, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, nil, fmt.Errorf("compile configuration schema: %w", err)
	}

	var named struct {
		Defs map[string]struct {
			Description string `json:"description"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(schemaText), &named); err != nil {
		return nil, nil, fmt.Errorf("read configuration schema: %w", err)
	}

	sentences := map[string]string{}
	for name, def := range named.Defs {
		sentences[name] = def.Description
	}
	return schema, sentences, nil
}

// checkSchema adds each deviation from the schema to the mistakes. It returns an error for
// a broken schema.
func (c *checker) checkSchema() error {
	schema, sentences, err := compileSchema()
	if err != nil {
		return err
	}
	err = schema.Validate(instance(c.root))
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return fmt.Errorf("validate configuration: %w", err)
	}
	addDeviations(c, invalid, sentences)
	return nil
}

// addDeviations adds the leaves of a validation error to the mistakes. No text shows the
// value, which could be a secret in the wrong place, unless it is from a closed list.
func addDeviations(c *checker, e *jsonschema.ValidationError, sentences map[string]string) {
	at := make([]any, len(e.InstanceLocation))
	for i, token := range e.InstanceLocation {
		at[i] = token
	}

	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			c.add("is missing", append(at, name)...)
		}
		return
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			c.add("is not a field that Mailroom knows", append(at, name)...)
		}
		return
	case *kind.PropertyNames:
		c.add(sentences["header_name"], append(at, k.Property)...)
		return
	}

	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			addDeviations(c, cause, sentences)
		}
		return
	}
	c.add(describe(e, sentences), at...)
}

func describe(e *jsonschema.ValidationError, sentences map[string]string) string {
	_, def, _ := strings.Cut(e.SchemaURL, "#/$defs/")
	if sentence := sentences[def]; sentence != "" {
		return sentence
	}

	switch k := e.ErrorKind.(type) {
	case *kind.Enum:
		want := make([]string, len(k.Want))
		for i, v := range k.Want {
			want[i] = fmt.Sprint(v)
		}
		if text, ok := k.Got.(string); ok {
			return fmt.Sprintf("%q is not supported; supported: %s", text, strings.Join(want, ", "))
		}
		return "must be one of: " + strings.Join(want, ", ")
	case *kind.Type:
		return "must be " + typeName(k.Want[0]) + ", not " + typeName(k.Got)
	case *kind.MinItems:
		return "must not be empty"
	case *kind.UniqueItems:
		return fmt.Sprintf("names the same twice (entries %d and %d)", k.Duplicates[0]+1, k.Duplicates[1]+1)
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	default:
		return e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	}
}

// typeName returns the YAML name of a type of JSON Schema.
func typeName(t string) string {
	switch t {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "null":
		return "nothing"
	default:
		return "a " + t
	}
}

// instance converts YAML to the values that a JSON Schema validates. Keys without a value
// count as absent; times stay text.
func instance(node *yaml.Node) any {
	node = follow(node)

	switch node.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			if key.Tag == "!!merge" {
				merge(out, instance(value))
				continue
			}
			if v := instance(value); v != nil {
				out[key.Value] = v
			}
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(node.Content))
		for i, entry := range node.Content {
			out[i] = instance(entry)
		}
		return out
	default:
		return scalar(node)
	}
}

// merge adds what a merge key brings; keys that stand in the mapping itself win.
func merge(into map[string]any, from any) {
	switch from := from.(type) {
	case map[string]any:
		for k, v := range from {
			if _, ok := into[k]; !ok {
				into[k] = v
			}
		}
	case []any:
		for _, one := range from {
			merge(into, one)
		}
	}
}

func scalar(node *yaml.Node) any {
	switch node.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(node.Value, "true")
	case "!!int", "!!float":
		if _, err := strconv.ParseFloat(node.Value, 64); err == nil {
			return json.Number(node.Value)
		}
	}
	return node.Value
}
