package downstream

import _ "embed" // the schemas are part of the program

var (
	//go:embed mailroom.email.v1.json
	schema string
	//go:embed mailroom.hold.v1.json
	holdSchema string
)

// Schema returns the JSON Schema (draft 2020-12) of the body that destinations
// receive, mailroom.email.v1.
func Schema() string { return schema }

// HoldSchema returns the JSON Schema (draft 2020-12) of the notice about an email that
// has been held for long, mailroom.hold.v1.
func HoldSchema() string { return holdSchema }
