// Package event reads the JSON that a provider of the mailparse profile posts, in
// either of its two shapes, into mail.Event.
//
// Peek is for the door: one pass over a reader, in memory that does not grow with
// the size of text or attachments, and a complete judgement of the body. Decode is
// for the store step and keeps everything. Both walk the same schema, so that
// Decode accepts exactly what Peek accepts and both see the same id and recipients.
//
// A body is accepted when it is one JSON object in valid UTF-8 without a byte order
// mark (RFC 8259 §8.1), of at most MaxDepth levels, without a name that occurs twice
// in one object and with at most MaxMembers names in each, and when the fields of
// the schema have the type of the schema. Legal but odd stays legal: numbers of any
// size in fields that nobody reads, \u0000 and lone surrogates, which Decode
// replaces by U+FFFD. Numbers that are read are read exactly, so that 1e-400 is no
// whole number; -0 is 0. A null counts as absent. Unknown fields are counted, and
// refused on request.
//
// SchemaFiles publishes the same as JSON Schema, as far as that can say it: whatever
// a schema refuses in an event of its shape, Peek refuses.
//
// What is readable as JSON and not as mail, such as base64 that does not decode, is
// no error: it becomes a mail.Problem, for a person to look at.
//
// Invariants: a syntax error is reported before a wrong id, that before a wrong
// field, that before an unknown one; a text beyond its bound ends the reading at
// once. Errors name fields of the schema, or another field's name cut to 64
// printable characters, and the bound where there is one, and never hold a value.
package event
