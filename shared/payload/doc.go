// Package payload reads the JSON that a provider of the mailparse profile posts, in
// either of its two shapes, into mail.Event.
//
// Peek is for the ingress: one pass over a reader that checks the whole body, in memory
// that does not grow with the size of text or attachments. Decode is for the store step
// and returns everything. Both use the same schema, so that Decode accepts exactly what
// Peek accepts and both see the same id and recipients.
//
// A body is accepted when it is one JSON object in valid UTF-8 without a byte order
// mark (RFC 8259 §8.1), without a name that occurs twice in one object, and with one
// valid id. Any other violation of the schema is a breach, which a strict source
// refuses: a field of the wrong type or beyond its bound, more than MaxDepth levels,
// more than MaxMembers names in one object, a name that is too long. A breach becomes
// a mail.Problem, and the rest is read: the beginning of a list that is too long, an
// attachment without its size. Beyond MaxMembers names, only those of the schema are
// compared with each other; values that are too deep are checked for their syntax and
// skipped.
//
// Legal but unusual JSON is accepted: numbers of any size in unknown fields, \u0000 and
// lone surrogates, which Decode replaces with U+FFFD. Numbers are read exactly, so that
// 1e-400 is no whole number; -0 is 0. A null counts as absent. Unknown fields are
// counted, and refused by strict sources.
//
// SchemaFiles returns these rules as JSON Schema, as far as that can express them: what
// a schema refuses in an event of its shape, Peek refuses or counts as a breach.
//
// Content that is valid JSON and cannot be read as mail, such as invalid base64, is no
// breach, but becomes a mail.Problem too.
//
// A body passes through these types, from JSON to the event:
//
//	source         checks UTF-8; its trimmer removes what is too long or too deep
//	jx.Decoder     makes tokens
//	walker         objects and arrays: repeated names, bounds; report has the breaches
//	values         texts, times, sizes, content
//	addressReader  addresses and lists of them
//	schema         the fields by their names
//	fields         the choice between the names of both shapes: the event
//
// The trimmer bounds memory and stack whatever a sender nests or repeats.
//
// Invariants: a syntax error is reported before an invalid id, that before a breach, and
// that before an unknown field. Errors name fields of the schema, for the sender also
// other names cut to 64 printable characters, and the bound if there is one, but never a
// value. Texts for readers other than the sender, problems and Nameless, have the
// position of a name that the sender has chosen instead of the name.
//
// Read next: payload.go (Peek, Decode), then schema.go (the fields).
package payload
