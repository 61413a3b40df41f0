package contract

// Bounds of an Edit. An address is as long as one of an event may be.
const (
	MaxEditTo         = 100
	MaxEditRecipients = 100
	MaxEditHeaders    = 100
	MaxEditDrop       = 1000
	MaxEditFields     = 100
	MaxEditAddress    = 1024     // bytes of one recipient
	MaxEditName       = 1024     // bytes of one name of a destination, header or field
	MaxEditValue      = 16 << 10 // bytes of one value of a header
)

// RouteEdited is what stands in place of the names of rules where an edit named
// the destinations.
const RouteEdited = "edited"

// SaveEditInput writes down an edit that is laid over an email once its decision
// was taken. With a Key a repeat returns the edit of the first call; an empty Key means
// that there is none.
type SaveEditInput struct {
	Email Email  `json:"email"`
	Edit  Edit   `json:"edit"`
	Actor string `json:"actor"`
	Note  string `json:"note,omitempty"`
	Key   string `json:"key,omitempty"`
}

// SaveEditResult names the edit and the earliest step that it touches.
type SaveEditResult struct {
	EditID int64 `json:"edit_id"`
	From   Step  `json:"from"`
}

// ApplyEditInput lays an edit over its email from now on. ApplyEdit is idempotent
// on EditID.
type ApplyEditInput struct {
	Email  Email `json:"email"`
	EditID int64 `json:"edit_id"`
}
