package downstream

import _ "embed" // the schema is part of the program

//go:embed mailroom.email.v1.json
var schema string

// Schema gives the JSON Schema (draft 2020-12) of the body that destinations
// receive, mailroom.email.v1.
func Schema() string { return schema }
