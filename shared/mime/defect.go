package mime

import "slices"

// The limits of a mail. What exceeds one is not parsed, and Parsed.Malformed names it.
const (
	MaxDepth        = 16        // nested multiparts and attached messages
	MaxParts        = 1000      // parts, including those of attached messages
	MaxFields       = 1000      // header fields of the mail or of one part
	MaxField        = 256 << 10 // bytes of one unfolded header field
	MaxAddressField = 1 << 20   // the same for fields that list addresses
	MaxHeader       = 2 << 20   // bytes of the header of the mail or of one part
	MaxParams       = 1000      // parameters of one Content-Type or Content-Disposition
)

// Malformed is the reason that a mail cannot be parsed, or not to its end: a sentence
// without mail content.
type Malformed struct {
	Reason string
}

// Error returns the reason.
func (m *Malformed) Error() string { return "mail is malformed: " + m.Reason }

// Defects are violations that programs read differently. Each occurs at most once in
// mail.Message.Defects. Common violations that all programs read alike, such as a long
// line, a header with bytes above ASCII or base64 without padding, are no defects.
const (
	DefectBound            = "bound_exceeded"            // a limit cut the mail
	DefectStrayLine        = "header_stray_line"         // a line among the fields that is no field
	DefectJoinedLine       = "header_line_not_indented"  // a continuation without its blank
	DefectBlankLine        = "header_blank_line"         // a line of blanks among the fields
	DefectNoEmptyLine      = "header_not_closed"         // the body begins without an empty line
	DefectBareCR           = "bare_cr"                   // a structural line that ends with CR alone, or with several
	DefectFieldName        = "header_blank_before_colon" // a structural field with blanks before its colon
	DefectNUL              = "nul_in_header"             // NUL in a structural field
	DefectUTF16            = "utf16_mail"                // the whole mail is UTF-16
	DefectTypeTwice        = "content_type_twice"        // Content-Type fields that differ
	DefectEncodingTwice    = "transfer_encoding_twice"   // Content-Transfer-Encoding fields or words that differ
	DefectEncodingOdd      = "transfer_encoding_odd"     // more than the name of an encoding
	DefectEncodingUnknown  = "transfer_encoding_unknown" // an unknown encoding
	DefectEncodedContainer = "multipart_encoded"         // a multipart with a transfer encoding
	DefectBoundary         = "boundary_ambiguous"        // several boundaries, or one with two readings
	DefectBoundaryMissing  = "boundary_missing"          // no boundary, or none that occurs in the body
	DefectBoundaryLine     = "boundary_line_with_more"   // a delimiter line with more text
	DefectAfterEnd         = "parts_after_the_end"       // parts after the closing delimiter
	DefectBase64           = "base64_pieces"             // base64 that continues after padding
	DefectUuencode         = "uuencode_damaged"          // uuencode without its begin line, or with invalid lines
	DefectTextTypes        = "binary_declared_as_text"   // a text part that begins like a binary file
	DefectPartial          = "message_partial"           // one fragment of a split mail
	DefectExternal         = "message_external_body"     // content outside of the mail
)

// findings are the defects and exceeded limits of a mail, and the budget for further
// readings of it.
type findings struct {
	defects   []string
	malformed *Malformed
	budget    int // bytes that may still be read again
}

// record adds a defect to the mail.
func (f *findings) record(defect string) {
	if !slices.Contains(f.defects, defect) {
		f.defects = append(f.defects, defect)
	}
}

// exceed records that the mail exceeds a limit.
func (f *findings) exceed(reason string) {
	f.record(DefectBound)
	f.incomplete(reason)
}

// incomplete sets the reason for which the mail is not read whole, unless there is one.
func (f *findings) incomplete(reason string) {
	if f.malformed == nil {
		f.malformed = &Malformed{Reason: reason}
	}
}

// spend takes bytes of the budget for another reading. It returns false, and records
// that the mail exceeds a limit, if the budget is used up.
func (f *findings) spend(bytes int) bool {
	if f.budget -= bytes; f.budget < 0 {
		f.exceed("there are too many ways to read it")
		return false
	}
	return true
}
