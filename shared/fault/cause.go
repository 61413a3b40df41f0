package fault

// Cause names why a call to a destination brought no answer. Causes are stored with each
// attempt and are part of the API: they are added, never renamed.
type Cause string

// The causes, in the order of the steps of a call.
const (
	AddressForbidden   Cause = "address_forbidden" // refused by netguard: no call was made
	DNSNotFound        Cause = "dns_not_found"
	DNSFailed          Cause = "dns_failed"
	ConnectTimeout     Cause = "connect_timeout"
	ConnectionRefused  Cause = "connection_refused"
	AddressUnreachable Cause = "address_unreachable"
	ConnectFailed      Cause = "connect_failed"
	TLSTimeout         Cause = "tls_timeout"
	TLSUntrusted       Cause = "tls_untrusted"
	TLSNameMismatch    Cause = "tls_name_mismatch"
	TLSExpired         Cause = "tls_expired"
	TLSFailed          Cause = "tls_failed"
	AnswerTimeout      Cause = "answer_timeout"
	ConnectionReset    Cause = "connection_reset"
	ConnectionClosed   Cause = "connection_closed"
	AnswerInvalid      Cause = "answer_invalid"
	CutShort           Cause = "cut_short" // by Mailroom: the worker stops or the email was cancelled
)

// Causes lists every cause once.
var Causes = []Cause{
	AddressForbidden, DNSNotFound, DNSFailed, ConnectTimeout, ConnectionRefused, AddressUnreachable, ConnectFailed,
	TLSTimeout, TLSUntrusted, TLSNameMismatch, TLSExpired, TLSFailed, AnswerTimeout, ConnectionReset, ConnectionClosed,
	AnswerInvalid, CutShort,
}

var causeSentences = map[Cause]string{
	AddressForbidden: "no call was made: the destination's address may not be called; " +
		"allow_private allows loopback and private ones",
	DNSNotFound:        "the destination's host name does not exist in DNS",
	DNSFailed:          "the destination's host name could not be resolved: DNS failed or did not answer in time",
	ConnectTimeout:     "no connection to the destination within the time limit",
	ConnectionRefused:  "the destination refused the connection: nothing listens on its port",
	AddressUnreachable: "the network has no way to the destination's address",
	ConnectFailed:      "no connection to the destination could be made",
	TLSTimeout:         "the destination did not complete the TLS handshake in time",
	TLSUntrusted:       "the destination's certificate is from an authority that is not trusted",
	TLSNameMismatch:    "the destination's certificate is for another host name",
	TLSExpired:         "the destination's certificate has expired or is not valid yet",
	TLSFailed:          "the TLS handshake with the destination failed",
	AnswerTimeout:      "the destination took the request and did not answer in time",
	ConnectionReset:    "the destination reset the connection before it answered",
	ConnectionClosed:   "the destination closed the connection without an answer",
	AnswerInvalid:      "the connection broke off before a complete HTTP answer came",
	CutShort:           "Mailroom cut the attempt short before an answer came",
}

// Sentence returns what people read of a cause; empty for an unknown one.
func (c Cause) Sentence() string { return causeSentences[c] }

// Called reports whether the destination, or what stands before it, was called.
func (c Cause) Called() bool { return c != AddressForbidden }
