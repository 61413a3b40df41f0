package main

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// value says in words what a key may have.
func (s schema) value(n *yaml.Node) string {
	def, name := s.definition(n)
	unit := text(n, "x-unit")

	switch {
	case field(def, "enum") != nil:
		return choices(field(def, "enum"))
	case field(def, "properties") != nil && name == "scanner":
		return "`builtin`, or a mapping"
	case field(def, "properties") != nil:
		return "mapping"
	case text(def, "type") == "array":
		return "list of " + s.many(field(def, "items"))
	case field(def, "additionalProperties") != nil:
		return "mapping to " + s.value(withUnit(field(def, "additionalProperties"), unit))
	case text(def, "type") == "boolean":
		return "`true`, `false`"
	case text(def, "type") == "integer":
		return strings.TrimSpace(text(def, "minimum") + " to " + text(def, "maximum") + " " + unit)
	case name != "" && text(def, "description") != "":
		return noun(name)
	}
	return "text"
}

// many says what a list holds.
func (s schema) many(items *yaml.Node) string {
	def, name := s.definition(items)
	switch {
	case field(def, "properties") != nil:
		return "mappings"
	case field(def, "enum") != nil:
		return choices(field(def, "enum"))
	}
	return noun(name) + "s"
}

// withUnit returns n with the unit of the key above it.
func withUnit(n *yaml.Node, unit string) *yaml.Node {
	if unit == "" {
		return n
	}
	out := *n
	out.Content = append([]*yaml.Node{{Kind: yaml.ScalarNode, Value: "x-unit"}, {Kind: yaml.ScalarNode, Value: unit}}, n.Content...)
	return &out
}

func choices(enum *yaml.Node) string {
	var all []string
	for _, one := range enum.Content {
		all = append(all, "`"+one.Value+"`")
	}
	return strings.Join(all, ", ")
}

// noun is what a reader calls a definition.
func noun(definition string) string {
	switch definition {
	case "match":
		return "pattern"
	case "http_header":
		return "HTTP header"
	}
	return strings.ReplaceAll(definition, "_", " ")
}

// standard says what counts where the file does not have the key.
func (s schema) standard(k key) string {
	if k.required {
		return "required"
	}
	if v := field(k.node, "default"); v != nil {
		return "`" + literal(v) + "`"
	}
	return cell(text(k.node, "x-default"))
}

// literal writes a value as YAML on one line.
func literal(n *yaml.Node) string {
	if n.Kind != yaml.SequenceNode {
		return n.Value
	}
	var all []string
	for _, one := range n.Content {
		all = append(all, one.Value)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// cell keeps a text inside its cell of a table, with special characters as they are.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`).Replace(text)
}
