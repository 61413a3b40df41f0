package blob

// Bucket is one of the two buckets by its role; the configuration names them. The names
// of the objects in them are in package contract.
type Bucket string

// Raw holds raw bodies, raw mail and large parsed messages; Attachments holds
// nothing that was not an attachment, so that links can be limited to it.
const (
	Raw         Bucket = "raw"
	Attachments Bucket = "attachments"
)
