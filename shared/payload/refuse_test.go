package payload

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// refusal checks that Peek and Decode refuse a body alike.
func refusal(t *testing.T, body string, opt Options) *fault.Error {
	t.Helper()
	_, err := Peek(strings.NewReader(body), opt)
	var f *fault.Error
	require.ErrorAs(t, err, &f, "%.200s", body)
	e, decodeErr := Decode([]byte(body), opt)
	require.Equal(t, err, decodeErr)
	require.Nil(t, e)
	require.False(t, f.Temporary)
	return f
}

// held checks that Peek and Decode accept a body with a breach and that a strict source
// refuses it. It returns the text of the refusal and the first problem.
func held(t *testing.T, body string) (strict *fault.Error, first string) {
	t.Helper()
	head, err := Peek(strings.NewReader(body), Options{})
	require.NoError(t, err, "%.200s", body)
	e, err := Decode([]byte(body), Options{})
	require.NoError(t, err, "%.200s", body)
	require.Equal(t, head, headOf(e), "%.200s", body)
	require.Positive(t, head.Breaches, "%.200s", body)
	p := breaches(e)[0]
	return refusal(t, body, Options{Strict: true}), p.Field + " " + p.Detail
}

// headOf returns the head of an event.
func headOf(e *mail.Event) Head {
	return Head{ID: e.ID, Shape: e.Shape, Recipients: e.Recipients(), Unknown: e.Unknown, Breaches: len(breaches(e)) + e.MoreProblems}
}

func breaches(e *mail.Event) []mail.Problem {
	return slices.DeleteFunc(slices.Clone(e.Problems), func(p mail.Problem) bool { return !p.Breach })
}

func TestMalformedJSON(t *testing.T) {
	t.Parallel()
	for body, why := range map[string]string{
		``: "ends too early", ` `: "ends too early", `{`: "ends too early", `{"event_id"`: "ends too early",
		`{"event_id":"a"`: "ends too early", `{"event_id":"a`: "ends too early", `{"event_id":"a",`: "ends too early",
		`{"event_id":"a","n":-`: "ends too early", `{"event_id":"a","n":nul`: "ends too early",
		`{"event_id":"a","u":"\u00`: "ends too early", `{"event_id":"a","l":[1,`: "ends too early",
		`[]`: "must be an object", `"x"`: "must be an object", `1`: "must be an object", `null`: "must be an object",
		`x`: "syntax error", "\xef\xbb\xbf{\"event_id\":\"a\"}": "it begins with a byte order mark",
		"\xef\xbb\xbf": "byte order mark", "{\xef\xbb\xbf\"event_id\":\"a\"}": "syntax error", "\uFEF0{}": "syntax error", "\xef\xbb": "not valid UTF-8",
		`{"event_id":"a",}`: "syntax error", `{,}`: "syntax error", `{"event_id" "a"}`: "syntax error",
		`{event_id:"a"}`: "syntax error", `{'event_id':'a'}`: "syntax error", `{"event_id":"a","l":[1,]}`: "syntax error",
		`{"event_id":"a","l":[1 2]}`: "syntax error", `{"event_id":"a","l":[1}`: "syntax error",
		`{"event_id":"a","n":NaN}`: "syntax error", `{"event_id":"a","n":Infinity}`: "syntax error",
		`{"event_id":"a","n":01}`: "syntax error", `{"event_id":"a","n":-01}`: "syntax error",
		`{"event_id":"a","n":+1}`: "syntax error", `{"event_id":"a","n":.5}`: "syntax error",
		`{"event_id":"a","n":1.e5}`: "syntax error", `{"event_id":"a","n":1e}`: "syntax error",
		`{"event_id":"a","n":0x1}`: "syntax error", `{"event_id":"a","n":1_000}`: "syntax error",
		`{"event_id":"a","t":True}`: "syntax error", `{"event_id":"a","t":truth}`: "syntax error",
		"{\"event_id\":\"a\",\"s\":\"\x01\"}": "syntax error", "{\"event_id\":\"a\",\"s\":\"\n\"}": "syntax error",
		`{"event_id":"a","s":"\x41"}`: "syntax error", `{"event_id":"a","s":"\u00g0"}`: "syntax error",
		`{"event_id":"a"}//`: "syntax error", "{\"event_id\":\"a\"}\x00": "syntax error", `{"event_id":"a"}]`: "syntax error",
		`/**/{"event_id":"a"}`: "syntax error", `{"event_id":"a"} {}`: "something follows", `{"event_id":"a"}1`: "something follows",
		"{\"event_id\":\"a\",\"s\":\"\xff\"}":                               "not valid UTF-8",
		"{\"event_id\":\"a\",\"s\":\"\xed\xa0\x80\"}":                       "not valid UTF-8", // a surrogate in UTF-8
		"{\"event_id\":\"a\",\"s\":\"\xc0\x80\"}":                           "not valid UTF-8", // an overlong NUL
		"{\"event_id\":\"a\"}\xc3":                                          "syntax error",
		"{\"event_id\":\"a\",\"s\":\"\xc3":                                  "not valid UTF-8",
		`{"event_id":"a","event_id":"a"}`:                                   `the name "event_id" occurs twice`,
		`{"event_id":"a","x":[{"":1,"":2}]}`:                                `the name "" occurs twice in one object, in x[0]`,
		`{"event_id":"a","x":[{"":[{},{"y":1,"y":2}]}]}`:                    `the name "y" occurs twice in one object, in x[0]`,
		`{"event_id":"a","id":null,"\u0069d":null}`:                         `the name "id" occurs twice`,
		`{"event_id":"a","headers":{"x\u202e\n":"","x\u202e\n":""}}`:        `the name "x??" occurs twice`,
		`{"id":7,"subject":7,"x":1e}`:                                       "syntax error", // before what is wrong with the fields
		`{"event_id":"` + strings.Repeat("a", 300) + `","attachments":[{]}`: "syntax error",
	} {
		checkMalformed(t, body, why)
	}
}

func checkMalformed(t *testing.T, body, why string) {
	t.Helper()
	f := refusal(t, body, Options{})
	require.Equal(t, fault.JSONMalformed, f.Code, "%.200s", body)
	require.Contains(t, f.Public, why, "%.200q", body)
	require.NotContains(t, Nameless(f), `"`)
}

// TestLimitsOfTheJSON: a value that exceeds a bound is reported, and everything else is
// read.
func TestLimitsOfTheJSON(t *testing.T) {
	t.Parallel()
	nest := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":0,`, i)
		}
		return b.String()
	}
	checkMalformed(t, `{"event_id":"a",`+names(40)+`"k3":1}`, `the name "k3" occurs twice`)
	checkMalformed(t, `{`+names(MaxMembers+5)+`"event_id":"a","subject":"x","subject":"y"}`, `the name "subject" occurs twice`)
	checkMalformed(t, `{"event_id":"a",`+names(MaxMembers+5)+`"k7":1}`, `the name "k7" occurs twice`)
	for body, want := range map[string]string{
		`{"x":` + nest(MaxDepth) + `,"event_id":"a","to":["b@c"]}`:                                                      "the body is nested more than 64 levels deep, in field 1[0]",
		`{"to":["b@c"],"headers":{"CANARY":` + nest(MaxDepth-1) + `},"event_id":"a"}`:                                   "headers, field 1[0] must be a string or a list of strings",
		`{"to":["b@c"],"subject":` + nest(MaxDepth) + `,"event_id":"a"}`:                                                "subject must be a string",
		`{"event_id":"a","to":["b@c"],"x":` + strings.Repeat(`{"x":`, 50_000) + `7` + strings.Repeat(`}`, 50_001):       "the body is nested more than 64 levels deep, in field 3",
		`{` + names(MaxMembers) + `"event_id":"a","to":["b@c"]}`:                                                        "the body has an object of more than 10,000 names",
		`{"event_id":"a","to":["b@c"],"auth":{` + names(MaxMembers) + `"z":0}}`:                                         "the body has an object of more than 10,000 names, in auth",
		`{"event_id":"a","to":["b@c",{"` + strings.Repeat("n", maxName+1) + `":0}]}`:                                    "the body has a name that is longer than 1,024 bytes, in to[1]",
		`{"` + strings.Repeat("n", maxName+1) + `":0,"event_id":"a","to":["b@c"]}`:                                      "the body has a name that is longer than 1,024 bytes",
		`{"` + strings.Repeat("n", 1<<20) + `":0,"event_id":"a","to":["b@c"]}`:                                          "the body has a name that is longer than 1,024 bytes",
		`{"a` + strings.Repeat("n", 1<<20) + `":0,"b` + strings.Repeat("n", 1<<20) + `":0,"event_id":"a","to":["b@c"]}`: "the body has a name that is longer than 1,024 bytes",
	} {
		strict, got := held(t, body)
		require.Equal(t, want, got, "%.200s", body)
		require.NotContains(t, got, "CANARY")
		require.Contains(t, []fault.Code{fault.JSONMalformed, fault.FieldInvalid}, strict.Code)
		e, err := Decode([]byte(body), Options{})
		require.NoError(t, err)
		require.Equal(t, "a", e.ID, "%.200s", body)
		require.Equal(t, []string{"b@c"}, e.Recipients(), "%.200s", body)
	}
	for _, body := range []string{
		`{"event_id":"a","x":` + nest(MaxDepth-1) + `}`,
		`{"event_id":"a",` + names(MaxMembers-2) + `"z":0}`,
		`{"event_id":"a","` + strings.Repeat("n", maxName) + `":0}`,
		`{"event_id":"a","` + strings.Repeat(`\u006e`, maxName) + `":0}`,
		`{"event_id":"a",` + strings.Repeat(" ", 1<<20) + `"b":0}`,
	} {
		e, err := Decode([]byte(body), Options{})
		require.NoError(t, err, "%.200s", body)
		require.Empty(t, e.Problems, "%.200s", body)
		require.Equal(t, "a", e.ID)
	}
}

func TestEventIDs(t *testing.T) {
	t.Parallel()
	quoted := func(s string) string { return `{"event_id":` + strconv.Quote(s) + `}` }
	for body, code := range map[string]fault.Code{
		`{}`:                                   fault.EventIDMissing,
		`{"event_id":null}`:                    fault.EventIDMissing,
		`{"x":{"id":"a"}}`:                     fault.EventIDMissing,
		`{"event_id":""}`:                      fault.EventIDInvalid,
		`{"event_id":" \t "}`:                  fault.EventIDInvalid,
		`{"id":"\u00a0"}`:                      fault.EventIDInvalid,
		`{"id":7}`:                             fault.EventIDInvalid,
		`{"id":["a"]}`:                         fault.EventIDInvalid,
		`{"id":"a\u0000"}`:                     fault.EventIDInvalid,
		`{"id":"a\nb"}`:                        fault.EventIDInvalid,
		`{"id":"a\u007f"}`:                     fault.EventIDInvalid,
		`{"id":"a\u0085"}`:                     fault.EventIDInvalid,
		`{"id":"a\u2028"}`:                     fault.EventIDInvalid,
		`{"id":"a\ud800"}`:                     fault.EventIDInvalid,
		`{"id":"a\ufffd"}`:                     fault.EventIDInvalid,
		`{"event_id":"a","id":"b"}`:            fault.EventIDInvalid,
		`{"event_id":"a","id":7}`:              fault.EventIDInvalid,
		`{"event_id":"a","id":"a "}`:           fault.EventIDInvalid,
		`{"id":"","subject":7}`:                fault.EventIDInvalid, // before the field
		quoted(strings.Repeat("a", 513)):       fault.EventIDInvalid,
		quoted(strings.Repeat("a", 10_000)):    fault.EventIDInvalid,
		quoted(strings.Repeat("a", 5<<20)):     fault.EventIDInvalid,
		quoted(strings.Repeat("é", 256) + "x"): fault.EventIDInvalid,
	} {
		f := refusal(t, body, Options{})
		require.Equal(t, code, f.Code, "%.200s", body)
	}
	for _, id := range []string{"a", " a ", "evt_01HF", "<m@x.example>", "é", strings.Repeat("a", 512), strings.Repeat("é", 256), "a/b?c#d"} {
		head, err := Peek(strings.NewReader(quoted(id)), Options{})
		require.NoError(t, err, id)
		require.Equal(t, id, head.ID)
	}
	escaped := `{"id":"` + strings.Repeat(`\u0061`, 512) + `"}`
	head, err := Peek(strings.NewReader(escaped), Options{})
	require.NoError(t, err)
	require.Len(t, head.ID, 512)
}

func TestWrongTypesAreNamed(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		`"type":1`:                                "type must be a string",
		`"subject":["x"]`:                         "subject must be a string",
		`"text":{}`:                               "text must be a string",
		`"html":true`:                             "html must be a string",
		`"mailbox":{}`:                            "mailbox must be a string",
		`"messageId":1`:                           "messageId must be a string",
		`"timestamp":true`:                        "timestamp must be a string or a number",
		`"envelope":[]`:                           "envelope must be an object",
		`"envelope":{"mail_from":1}`:              "envelope.mail_from must be a string",
		`"envelope":{"rcpt_to":"a@b"}`:            "envelope.rcpt_to must be an array",
		`"envelope":{"rcpt_to":["",1]}`:           "envelope.rcpt_to[1] must be a string",
		`"sender":{}`:                             "sender must be an array",
		`"recipient":["a",7]`:                     "recipient[1] must be an object or a string",
		`"recipient":[{"name":"x"}]`:              "recipient[0].address is missing",
		`"from":"a@b"`:                            "from must be an object",
		`"from":[]`:                               "from must be an object",
		`"from":{}`:                               "from.address is missing",
		`"from":{"address":null}`:                 "from.address is missing",
		`"from":{"address":7}`:                    "from.address must be a string",
		`"from":{"address":"","name":7}`:          "from.name must be a string",
		`"to":"a@b"`:                              "to must be an array",
		`"to":[[]]`:                               "to[0] must be an object or a string",
		`"cc":{}`:                                 "cc must be an array",
		`"auth":"pass"`:                           "auth must be an object",
		`"auth":{"dkim":true}`:                    "auth.dkim must be a string",
		`"headers":[]`:                            "headers must be an object",
		`"headers":{"x-a":1}`:                     "headers.x-a must be a string or a list of strings",
		`"headers":{"x":["",{}]}`:                 "headers.x[1] must be a string or a list of strings",
		`"headers":{"\u202e\n\u0000é":1}`:         "headers.???é must be a string or a list of strings",
		`"attachments":{}`:                        "attachments must be an array",
		`"attachments":[{},null]`:                 "attachments[1] must be an object",
		`"attachments":[{},{},{},{"filename":7}]`: "attachments[3].filename must be a string",
		`"attachments":[{"size":"7"}]`:            "attachments[0].size must be a number",
		`"attachments":[{"content_base64":7}]`:    "attachments[0].content_base64 must be a string",
		`"attachments":[{"url":7}]`:               "attachments[0].url must be a string",
		`"attachments":[{"checksum":7}]`:          "attachments[0].checksum must be a string",
		`"raw_mime_base64":7`:                     "raw_mime_base64 must be a string",
		`"rawMimeUrl":7`:                          "rawMimeUrl must be a string",
		`"subject":1,"text":2`:                    "subject must be a string", // the first of several
	} {
		checkWrong(t, field, want)
	}
}

// checkWrong expects exactly that text in the answer of a strict source, and in the
// problem for another one, there without names that the sender has chosen.
func checkWrong(t *testing.T, field, want string) {
	t.Helper()
	f, first := held(t, `{"event_id":"a",`+field+`}`)
	require.Equal(t, fault.FieldInvalid, f.Code, "%.200s", field)
	require.Equal(t, want, f.Public, "%.200s", field)
	require.Equal(t, named.ReplaceAllString(want, "headers, field 1"), first, "%.200s", field)
}

var named = regexp.MustCompile(`headers\.[^ \[]+`)

func TestBoundsAreNamed(t *testing.T) {
	t.Parallel()
	list := func(element string, n int) string { return "[" + strings.Repeat(element+",", n-1) + element + "]" }
	headers := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"h%d":""`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	for field, want := range map[string]string{
		`"timestamp":-1`:                                                        "timestamp must be a time in seconds or milliseconds since 1970, before the year 10000",
		`"timestamp":1e400`:                                                     "timestamp must be a time in seconds or milliseconds since 1970, before the year 10000",
		`"receivedAt":253402300800000`:                                          "receivedAt must be a time in seconds or milliseconds since 1970, before the year 10000",
		`"headers":{"` + strings.Repeat("n", 100) + `":1}`:                      "headers." + strings.Repeat("n", 64) + " must be a string or a list of strings",
		`"attachments":[{"size":-1}]`:                                           "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"attachments":[{"size":1.5}]`:                                          "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"attachments":[{"size":9007199254740992}]`:                             "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"timestamp":-1e-400`:                                                   "timestamp must be a time in seconds or milliseconds since 1970, before the year 10000",
		`"attachments":[{"size":1e-400}]`:                                       "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"attachments":[{"size":-1e-400}]`:                                      "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"attachments":[{"size":1.00000000000000000000001}]`:                    "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"attachments":[{"size":9007199254740991.4}]`:                           "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"attachments":[{"size":1e9999999999999999999}]`:                        "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"attachments":[{"size":1e-9999999999999999999}]`:                       "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"attachments":[{"size":1e400}]`:                                        "attachments[0].size must be a whole number from 0 to 9007199254740991",
		`"attachments":[{"size":1` + strings.Repeat("0", 5000) + `}]`:           "attachments[0].size is longer than 256 digits",
		`"envelope":{"rcpt_to":` + list(`"a@b.example"`, MaxRecipients+1) + `}`: "envelope.rcpt_to has 10,001 elements, more than 10,000",
		`"to":` + list(`"a@b.example"`, MaxRecipients+1):                        "to has 10,001 elements, more than 10,000",
		`"attachments":` + list(`{}`, MaxAttachments+1):                         "attachments has 1,001 elements, more than 1,000",
		`"headers":` + headers(MaxHeaders+1):                                    "headers has 1,001 fields, more than 1,000",
		`"headers":{"a":` + list(`""`, MaxHeaders+1) + `}`:                      "headers has 1,001 fields, more than 1,000",
		`"mailbox":"` + strings.Repeat("m", MaxAddress+1) + `"`:                 "mailbox must be at most 1,024 bytes",
		`"envelope":{"rcpt_to":["","` + strings.Repeat("m", 1<<20) + `"]}`:      "envelope.rcpt_to[1] must be at most 1,024 bytes",
		`"to":["",{"address":"` + strings.Repeat("m", MaxAddress+1) + `"}]`:     "to[1].address must be at most 1,024 bytes",
	} {
		checkWrong(t, field, want)
	}
	for _, field := range []string{
		`"envelope":{"rcpt_to":` + list(`"a@b.example"`, MaxRecipients) + `}`,
		`"to":` + list(`{"address":"a@b.example"}`, MaxRecipients),
		`"attachments":` + list(`{}`, MaxAttachments),
		`"headers":` + headers(MaxHeaders),
		`"mailbox":"` + strings.Repeat("m", MaxAddress) + `"`,
		`"mailbox":"` + strings.Repeat(`\u006d`, MaxAddress) + `"`,
		`"attachments":[{"size":9007199254740991},{"size":1e3},{"size":2.0},{"size":-0},{"size":0}]`,
		`"attachments":[{"size":0e9999999999999999999},{"size":-0.00E-7},{"size":90071992547409910e-1},{"size":0.00001E+5}]`,
		`"timestamp":-0.0e5`, `"timestamp":1e-9999999999999999999`,
	} {
		body := `{"event_id":"a",` + field + `}`
		head, err := Peek(strings.NewReader(body), Options{})
		require.NoError(t, err, "%.200s", field)
		require.Zero(t, head.Breaches, "%.200s", field)
		_, err = Decode([]byte(body), Options{})
		require.NoError(t, err, "%.200s", field)
	}
}

func TestStrictRefusesUnknownFields(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		`"surprise":{"event_id":1}`:               "surprise",
		`"Subject":"x"`:                           "Subject",
		`"":1`:                                    "",
		`"envelope":{"helo":"x"}`:                 "envelope.helo",
		`"auth":{"arc":"x"}`:                      "auth.arc",
		`"to":["",{"address":"","x":1}]`:          "to[1].x",
		`"attachments":[{},{"a\u0007\u202eb":1}]`: "attachments[1].a??b",
		`"` + strings.Repeat("é", 200) + `":1`:    strings.Repeat("é", 64),
	} {
		body := `{"event_id":"a",` + field + `}`
		f := refusal(t, body, Options{Strict: true})
		require.Equal(t, fault.FieldUnknown, f.Code)
		require.Equal(t, "the schema has no field "+want, f.Public)
		head, err := Peek(strings.NewReader(body), Options{})
		require.NoError(t, err)
		require.Equal(t, 1, head.Unknown)
	}
	head, err := Peek(strings.NewReader(`{"event_id":"a","headers":{"anything":""}}`), Options{Strict: true})
	require.NoError(t, err)
	require.Zero(t, head.Unknown)
}

func TestRefusalsHoldNoValues(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-value"
	for _, body := range []string{
		`{"event_id":"` + secret + `\n"}`, `{"event_id":"` + secret + `","id":"other"}`, `{"event_id":"a","to":"` + secret + `"}`,
		`{"event_id":"a","text":"` + secret, `{"event_id":"a","from":{"name":"` + secret + `"}}`, `{"event_id":"a"}` + secret,
		`{"event_id":"a","x":"` + secret + `","x":1}`, `{"event_id":"a","mailbox":"` + strings.Repeat(secret, 200) + `"}`,
	} {
		_, err := Peek(bytes.NewReader([]byte(body)), Options{Strict: true})
		require.Error(t, err)
		require.NotContains(t, err.Error(), secret)
	}
}
