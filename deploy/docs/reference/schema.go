package main

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mailroom/shared/config"
)

// schema is the configuration's JSON Schema, read as YAML, which keeps the order of keys.
type schema struct{ root *yaml.Node }

func readSchema() (schema, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(config.Schema()), &doc); err != nil {
		return schema{}, fmt.Errorf("read the schema: %w", err)
	}
	return schema{doc.Content[0]}, nil
}

// field returns the value of a keyword, nil where it is missing.
func field(n *yaml.Node, name string) *yaml.Node {
	if n == nil {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node, name string) string {
	if v := field(n, name); v != nil {
		return v.Value
	}
	return ""
}

// definition follows $ref, and returns the name of the definition too.
func (s schema) definition(n *yaml.Node) (node *yaml.Node, name string) {
	for {
		ref := text(n, "$ref")
		if ref == "" {
			return n, name
		}
		name = strings.TrimPrefix(ref, "#/$defs/")
		n = field(field(s.root, "$defs"), name)
	}
}

// key is one row of a table.
type key struct {
	path     string // below the table's own path
	node     *yaml.Node
	required bool
}

// keys lists the keys below n, each followed by those below it.
func (s schema) keys(n *yaml.Node, at string) []key {
	n, _ = s.definition(n)
	required := field(n, "required")
	properties := field(n, "properties")
	if properties == nil {
		return nil
	}

	var out []key
	for i := 0; i+1 < len(properties.Content); i += 2 {
		name, node := properties.Content[i].Value, properties.Content[i+1]
		must := required != nil && slices.ContainsFunc(required.Content, func(one *yaml.Node) bool { return one.Value == name })
		out = append(out, key{at + name, node, must})
		below, suffix := s.below(node)
		out = append(out, s.keys(below, at+name+suffix+".")...)
	}
	return out
}

// below returns what a list or a mapping with free keys holds, and how paths name it.
func (s schema) below(n *yaml.Node) (node *yaml.Node, suffix string) {
	n, _ = s.definition(n)
	if items := field(n, "items"); items != nil {
		return items, "[]"
	}
	if more := field(n, "additionalProperties"); more != nil && more.Kind == yaml.MappingNode {
		return more, ".*"
	}
	return n, ""
}

// find returns the node of a path such as sources[].limit.
func (s schema) find(path string) (*yaml.Node, error) {
	n := s.root
	for _, step := range strings.Split(path, ".") {
		if step == "*" {
			continue
		}
		n, _ = s.definition(n)
		next := field(field(n, "properties"), strings.TrimSuffix(step, "[]"))
		if next == nil {
			return nil, fmt.Errorf("the schema has no key %s", path)
		}
		n, _ = s.below(next)
	}
	return n, nil
}

// table returns the table of a path in Markdown.
func (s schema) table(path string) (string, error) {
	switch path {
	case "values":
		return s.values(), nil
	case "file":
		return s.sections(), nil
	}

	n, err := s.find(path)
	if err != nil {
		return "", err
	}
	rows := "| key | value | default | meaning |\n| --- | --- | --- | --- |\n"
	list := s.keys(n, "")
	if len(list) == 0 { // a mapping with free keys to plain values
		list = []key{{path, field(field(s.root, "properties"), path), false}}
	}
	for _, k := range list {
		rows += fmt.Sprintf("| `%s` | %s | %s | %s |\n", k.path, s.value(k.node), s.standard(k), cell(text(k.node, "description")))
	}
	return rows, nil
}

// sections lists the keys of the file itself.
func (s schema) sections() string {
	rows := "| key | meaning |\n| --- | --- |\n"
	for _, k := range s.keys(s.root, "") {
		if strings.Contains(k.path, ".") {
			continue
		}
		meaning := cell(text(k.node, "description"))
		if k.required {
			meaning += " Required."
		}
		rows += fmt.Sprintf("| [`%s`](configuration.md#%s) | %s |\n", k.path, k.path, meaning)
	}
	return rows
}

// values lists the kinds of values that have a form of their own.
func (s schema) values() string {
	rows := "| value | what it is | unit |\n| --- | --- | --- |\n"
	defs := field(s.root, "$defs")
	for i := 0; i+1 < len(defs.Content); i += 2 {
		name, def := defs.Content[i].Value, defs.Content[i+1]
		if sentence := text(def, "description"); sentence != "" && text(def, "type") != "object" && field(def, "properties") == nil {
			rows += fmt.Sprintf("| %s | %s | %s |\n", noun(name), cell(strings.TrimPrefix(sentence, "must be ")), text(def, "x-unit"))
		}
	}
	return rows
}
