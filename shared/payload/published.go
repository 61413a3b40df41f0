package payload

import _ "embed" // the schemas

// SchemaFile is one JSON Schema (draft 2020-12) of what a provider may post. Within
// a version, fields are added and bounds widened; anything else is a new version
// under a new name.
type SchemaFile struct {
	// Name is the file's name and the end of its $id.
	Name  string
	Title string
	// Text is the schema as JSON.
	Text string
}

// SchemaFiles returns the schemas of all shapes. What a schema refuses, Peek refuses or
// counts as a breach. Peek also checks rules that JSON Schema cannot express; each file
// lists them.
func SchemaFiles() []SchemaFile {
	return []SchemaFile{
		{Name: "mailroom.inbound.a.v1.json", Title: "Mailroom inbound event, shape A, version 1", Text: schemaA},
		{Name: "mailroom.inbound.b.v1.json", Title: "Mailroom inbound event, shape B, version 1", Text: schemaB},
	}
}

var (
	//go:embed schemas/mailroom.inbound.a.v1.json
	schemaA string
	//go:embed schemas/mailroom.inbound.b.v1.json
	schemaB string
)
