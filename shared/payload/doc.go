// Package payload reads the JSON that a provider of the mailparse profile posts, in
// either of its two shapes, into mail.Event.
//
// Peek is for the door: one pass over a reader, in memory that does not grow with
// the size of text or attachments, and a complete judgement of the body. Decode is
// for the store step and keeps everything. Both walk the same schema, so that
// Decode accepts exactly what Peek accepts and both see the same id and recipients.
//
// A body is accepted when it is one JSON object in valid UTF-8 without a byte order
// mark (RFC 8259 §8.1), without a name that occurs twice in one object, and with one
// usable id. Everything else that breaks the schema is a breach, which a strict source
// refuses: a field of the wrong type or beyond its bound, more than MaxDepth levels,
// more than MaxMembers names in one object, a name that is too long. A breach becomes
// a mail.Problem, and what can be read beside it is read: the beginning of a list that
// is too long, an attachment without its size. Of more than MaxMembers names, only
// those of the schema are still compared with each other; values that are too deep are
// checked for their syntax and passed over.
//
// Legal but odd stays legal: numbers of any size in fields that nobody reads, \u0000
// and lone surrogates, which Decode replaces by U+FFFD. Numbers that are read are read
// exactly, so that 1e-400 is no whole number; -0 is 0. A null counts as absent. Unknown
// fields are counted, and refused on request.
//
// SchemaFiles publishes the same as JSON Schema, as far as that can say it: whatever
// a schema refuses in an event of its shape, Peek refuses or counts as a breach.
//
// What is readable as JSON and not as mail, such as base64 that does not decode, is
// no breach: it becomes a mail.Problem, too.
//
// A trimmer stands between the body and the tokenizer, so that memory and stack are
// bounded whatever a sender nests or repeats.
//
// Invariants: a syntax error is reported before a wrong id, that before a breach, that
// before an unknown field. Errors name fields of the schema, or for the sender another
// field's name cut to 64 printable characters, and the bound where there is one, and
// never hold a value. What others than the sender read, problems and Nameless, has no
// name that the sender has chosen, only its place.
package payload
