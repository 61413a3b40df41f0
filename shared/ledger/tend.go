package ledger

// UnwantedObject is an object that a discarded email no longer needs.
type UnwantedObject struct {
	Bucket string // raw or attachments
	Key    string
}
