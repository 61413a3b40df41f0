// Package preview prepares an edit for its decision: it validates the edit against its
// email, shows its effect as a list of changes, and saves it in the ledger. Ingress
// uses it for edits through the API and the console, the worker for edits in signals.
//
// Invariants: this package neither changes an email nor applies an edit; a preview
// shows what the steps would do, because the same code decodes the body and applies the
// overlay; the memory of a preview is bounded, and bodies are decoded one at a time.
//
// Read next: package edit for the overlay, package decode for the body.
package preview
