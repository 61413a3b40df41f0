// Package auditchain is what can be proved of an email's way: the audit chain, whose
// entries hold each other by their hashes, and the document that contains one
// email's part of it (mailroom.custody.v1). Checking needs no server and no secret.
//
// Invariants: the formats are those of deploy/docs/audit.md, which suffices to
// check a chain or a document with sha256sum alone; what is checked is what is in
// the file, and nothing that a file claims of itself is believed.
package auditchain
