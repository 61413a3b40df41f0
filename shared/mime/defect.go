package mime

import "slices"

// The limits of a mail. What exceeds one is left out, and Parsed.Malformed says so.
const (
	MaxDepth        = 16        // multiparts and attached messages inside one another
	MaxParts        = 1000      // parts, those of attached messages included
	MaxFields       = 1000      // header fields of the mail or of one part
	MaxField        = 256 << 10 // bytes of one unfolded header field
	MaxAddressField = 1 << 20   // the same for fields that list addresses
	MaxHeader       = 2 << 20   // bytes of the header of the mail or of one part
	MaxParams       = 1000      // parameters of one Content-Type or Content-Disposition
)

// Malformed says why a mail cannot be parsed, or not to its end, in a sentence
// without mail content.
type Malformed struct {
	Reason string
}

// Error returns the sentence.
func (m *Malformed) Error() string { return "mail is malformed: " + m.Reason }

// Defects: what programs read differently. Each is noted once on the message
// (mail.Message.Defects). What is common and read alike everywhere, such as a long
// line, a header of eight bits or base64 without padding, is none.
const (
	DefectBound            = "bound_exceeded"            // a limit cut the mail
	DefectStrayLine        = "header_stray_line"         // a line among the fields that is no field
	DefectJoinedLine       = "header_line_not_indented"  // a continuation that lost its blank
	DefectBlankLine        = "header_blank_line"         // a line of blanks among the fields
	DefectNoEmptyLine      = "header_not_closed"         // the body begins without an empty line
	DefectBareCR           = "bare_cr"                   // a line of the structure that ends with CR alone, or with several
	DefectFieldName        = "header_blank_before_colon" // a structural field with blanks before its colon
	DefectNUL              = "nul_in_header"             // NUL in a structural field
	DefectUTF16            = "utf16_mail"                // the whole mail is UTF-16
	DefectTypeTwice        = "content_type_twice"        // Content-Type fields that differ
	DefectEncodingTwice    = "transfer_encoding_twice"   // Content-Transfer-Encoding fields or words that differ
	DefectEncodingOdd      = "transfer_encoding_odd"     // more than the name of an encoding
	DefectEncodingUnknown  = "transfer_encoding_unknown" // an encoding that is not known
	DefectEncodedContainer = "multipart_encoded"         // a multipart with a transfer encoding
	DefectBoundary         = "boundary_ambiguous"        // several boundaries, or one that can be read in two ways
	DefectBoundaryMissing  = "boundary_missing"          // no boundary, or none that occurs
	DefectBoundaryLine     = "boundary_line_with_more"   // a delimiter line that goes on
	DefectAfterEnd         = "parts_after_the_end"       // parts behind the last delimiter
	DefectBase64           = "base64_pieces"             // base64 that goes on behind padding
	DefectUuencode         = "uuencode_damaged"          // uuencode without its begin line, or with lines that are none
	DefectTextTypes        = "binary_declared_as_text"   // a text part that is a file by its first bytes
	DefectPartial          = "message_partial"           // one piece of a mail that was cut up
	DefectExternal         = "message_external_body"     // content that lies elsewhere
)

// note adds a defect to the mail.
func (t *tree) note(defect string) {
	if !slices.Contains(t.defects, defect) {
		t.defects = append(t.defects, defect)
	}
}

// exceed notes that the mail exceeds a bound.
func (t *tree) exceed(reason string) {
	t.note(DefectBound)
	t.incomplete(reason)
}

// incomplete remembers the first reason for which not all of the mail is read.
func (t *tree) incomplete(reason string) {
	if t.malformed == nil {
		t.malformed = &Malformed{Reason: reason}
	}
}
