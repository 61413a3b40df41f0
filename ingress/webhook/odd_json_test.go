package webhook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	mailintake "mailroom/shared/decode"
	"mailroom/shared/fault"
	"mailroom/shared/payload"
)

// oddJSON is an authentic body at the edge of JSON and what becomes of it.
type oddJSON struct {
	body    string
	code    fault.Code // empty: accepted
	says    string     // in the answer of a refusal
	detail  string     // in the hold, where that is not what the answer says
	unknown int        // fields that are counted
	subject string     // of an accepted event, decoded
}

// oddID is the id of all events here that have a readable one.
const oddID = "evt_odd"

// oddWith puts fields behind a good id and a good recipient.
func oddWith(fields string) string {
	return `{"event_id":"` + oddID + `","recipient":["support@yourapp.example"],` + fields + `}`
}

func nested(open, leaf, end string, n int) string {
	return strings.Repeat(open, n) + leaf + strings.Repeat(end, n)
}

func manyNames(n int) string {
	var b strings.Builder
	b.Grow(12 * n)
	for i := range n {
		b.WriteString(`"k` + strconv.Itoa(i) + `":0,`)
	}
	return b.String()
}

// oddAccepted are legal JSON: odd, kept as they are, and no reason to lose mail.
func oddAccepted() map[string]oddJSON {
	return map[string]oddJSON{
		"NUL in a text":              {body: oddWith(`"subject":"a\u0000b"`), subject: "a\uFFFDb"},
		"NUL in a foreign name":      {body: oddWith(`"\u0000":1`), unknown: 1},
		"high surrogate alone":       {body: oddWith(`"subject":"\ud800"`), subject: "\uFFFD"},
		"low surrogate alone":        {body: oddWith(`"subject":"\udc00x"`), subject: "\uFFFDx"},
		"surrogates in disorder":     {body: oddWith(`"subject":"\udc00\ud800"`), subject: "\uFFFD\uFFFD"},
		"surrogate in a name":        {body: oddWith(`"\ud800":1`), unknown: 1},
		"as deep as may be":          {body: oddWith(`"x":` + nested("[", "", "]", payload.MaxDepth-1)), unknown: 1},
		"10^400 in an unknown field": {body: oddWith(`"x":1` + strings.Repeat("0", 400)), unknown: 1},
		"1e400 in unknown fields":    {body: oddWith(`"x":1e400,"y":-1e400,"z":1e-400`), unknown: 3},
		"exponent of 20 digits":      {body: oddWith(`"x":1e99999999999999999999`), unknown: 1},
		"number of a megabyte":       {body: oddWith(`"x":` + strings.Repeat("7", 1<<20)), unknown: 1},
		"minus zero":                 {body: oddWith(`"x":-0,"timestamp":-0,"attachments":[{"size":-0,"content_base64":""}]`), unknown: 1},
		"largest size":               {body: oddWith(`"attachments":[{"size":9007199254740991,"content_base64":""}]`)},
		"empty name":                 {body: oddWith(`"":{"":[]}`), unknown: 1},
		"names that differ in case": {body: oddWith(
			`"Event_id":"other","EVENT_ID":7,"Recipient":[],"subject":"a","Subject":"b"`), unknown: 4, subject: "a"},
		"null for absent":           {body: oddWith(`"subject":null,"headers":null,"attachments":null,"id":null`)},
		"white space around":        {body: "\r\n\t " + oddWith(`"x":1`) + "\r\n\t ", unknown: 1},
		"a megabyte of white space": {body: oddWith(strings.Repeat(" ", 1<<20) + `"x":1`), unknown: 1},
		"10,000 names":              {body: oddWith(manyNames(payload.MaxMembers-3) + `"z":0`), unknown: payload.MaxMembers - 2},
	}
}

func oddRefused() map[string]oddJSON {
	const malformed, id = fault.JSONMalformed, fault.EventIDInvalid
	return map[string]oddJSON{
		"nothing but white space": {body: " \n", code: malformed, says: "ends too early"},
		"empty object":            {body: `{}`, code: fault.EventIDMissing, says: "neither event_id nor id"},
		"array":                   {body: `[` + oddWith(`"x":1`) + `]`, code: malformed, says: "must be an object"},
		"null":                    {body: `null`, code: malformed, says: "must be an object"},
		"text":                    {body: `"` + oddID + `"`, code: malformed, says: "must be an object"},
		"byte order mark":         {body: "\uFEFF" + oddWith(`"x":1`), code: malformed, says: "byte order mark"},
		"UTF-16":                  {body: "\xff\xfe{\x00}\x00", code: malformed, says: "not valid UTF-8"},
		"two objects":             {body: oddWith(`"x":1`) + `{}`, code: malformed, says: "something follows the object"},
		"rubbish behind":          {body: oddWith(`"x":1`) + `x`, code: malformed, says: "syntax error"},
		"NUL behind":              {body: oddWith(`"x":1`) + "\x00", code: malformed, says: "syntax error"},
		"name twice":              {body: oddWith(`"event_id":"evt_other"`), code: malformed, says: `"event_id\" occurs twice in one object`},
		"name twice, escaped":     {body: oddWith(`"x":1,"\u0078":2`), code: malformed, says: `"x\" occurs twice`},
		"name twice, inside":      {body: oddWith(`"attachments":[{},{"url":"","url":""}]`), code: malformed, says: "in attachments[1]"},

		"invalid UTF-8 in a text": {body: oddWith("\"subject\":\"\xff\""), code: malformed, says: "not valid UTF-8"},
		"invalid UTF-8 in a name": {body: oddWith("\"\xfe\":1"), code: malformed, says: "not valid UTF-8"},
		"overlong UTF-8":          {body: oddWith("\"subject\":\"\xc0\xaf\xe0\x80\xaf\""), code: malformed, says: "not valid UTF-8"},
		"surrogate in UTF-8":      {body: oddWith("\"subject\":\"\xed\xa0\x80\""), code: malformed, says: "not valid UTF-8"},
		"beyond Unicode":          {body: oddWith("\"subject\":\"\xf4\x90\x80\x80\""), code: malformed, says: "not valid UTF-8"},
		"a character cut off":     {body: `{"event_id":"` + oddID + "\xe2\x82", code: malformed, says: "not valid UTF-8"},
		"latin-1":                 {body: oddWith("\"subject\":\"Gr\xfc\xdfe\""), code: malformed, says: "not valid UTF-8"},
		"control character":       {body: oddWith("\"subject\":\"a\x01\""), code: malformed, says: "syntax error"},
		"deep, and never closed":  {body: oddWith(`"x":` + strings.Repeat(`[{"x":`, 500_000)), code: malformed, says: "syntax error"},

		"NUL in the id":       {body: `{"event_id":"` + oddID + `\u0000"}`, code: id, says: "event_id must not have control characters"},
		"surrogate in the id": {body: `{"id":"` + oddID + `\ud800"}`, code: id, says: "id must not have control characters"},
		"number as the id":    {body: `{"id":1e400}`, code: id, says: "id must be a string"},
		"id of a megabyte":    {body: `{"event_id":"` + strings.Repeat(oddID, 1<<18) + `"}`, code: id, says: "event_id must be at most 512 bytes"},
	}
}

// oddHeld are authentic events with something that cannot be read or goes beyond a
// bound: no reason to lose the rest of the mail. code and says are what a strict
// source answers, detail what a person is told elsewhere.
func oddHeld() map[string]oddJSON {
	const malformed, field = fault.JSONMalformed, fault.FieldInvalid
	const body = "the body "
	return map[string]oddJSON{
		"10,000 arrays deep":        {body: oddWith(`"x":` + nested("[", "", "]", 10_000)), code: malformed, says: "64 levels deep, in x[0]", detail: body + "is nested more than 64 levels deep, in field 3[0]"},
		"a million arrays deep":     {body: oddWith(`"x":` + nested("[", "", "]", 1_000_000)), code: malformed, says: "64 levels deep, in x[0]", detail: body + "is nested more than 64 levels deep, in field 3[0]"},
		"10,000 objects deep":       {body: oddWith(`"x":` + nested(`{"x":`, "0", "}", 10_000)), code: malformed, says: "64 levels deep, in x", detail: body + "is nested more than 64 levels deep, in field 3"},
		"deep before the id":        {body: `{"x":` + nested("[", "", "]", 10_000) + `,` + oddWith(`"subject":""`)[1:], code: malformed, says: "64 levels deep", detail: body + "is nested more than 64 levels deep, in field 1[0]"},
		"deep in an attachment":     {body: oddWith(`"attachments":[{},{"filename":` + nested("[", "", "]", 10_000) + `}]`), code: field, says: "attachments[1].filename must be a string", detail: "attachments[1].filename must be a string"},
		"name of a megabyte":        {body: oddWith(`"` + strings.Repeat("n", 1<<20) + `":1`), code: malformed, says: "1,024 bytes", detail: body + "has a name that is longer than 1,024 bytes"},
		"name of a megabyte inside": {body: oddWith(`"headers":{"` + strings.Repeat("n", 1<<20) + `":""}`), code: malformed, says: "in headers", detail: body + "has a name that is longer than 1,024 bytes, in headers"},
		"a million names":           {body: `{` + manyNames(1_000_000) + oddWith(`"z":0`)[1:], code: malformed, says: "more than 10,000 names", detail: body + "has an object of more than 10,000 names"},
		"a million names inside":    {body: oddWith(`"x":[{` + manyNames(1_000_000) + `"z":0}]`), code: malformed, says: "more than 10,000 names, in x[0]", detail: body + "has an object of more than 10,000 names, in field 3[0]"},

		"10^400 as a time":   {body: oddWith(`"timestamp":1` + strings.Repeat("0", 400)), code: field, says: "timestamp is longer than 256 digits"},
		"1e400 as a time":    {body: oddWith(`"timestamp":1e400`), code: field, says: "timestamp must be a time in seconds or milliseconds since 1970, before the year 10000"},
		"-1e-400 as a time":  {body: oddWith(`"timestamp":-1e-400`), code: field, says: "timestamp must be a time"},
		"1e400 as a size":    {body: oddWith(`"attachments":[{"size":1e400}]`), code: field, says: "attachments[0].size must be a whole number from 0 to 9007199254740991"},
		"2^53 as a size":     {body: oddWith(`"attachments":[{},{"size":9007199254740992}]`), code: field, says: "attachments[1].size must be a whole number from 0 to 9007199254740991"},
		"text as a size":     {body: oddWith(`"attachments":[{},{},{},{"size":"7"}]`), code: field, says: "attachments[3].size must be a number"},
		"object as a size":   {body: oddWith(`"attachments":[{},{},{},{"size":{"x":7}}]`), code: field, says: "attachments[3].size must be a number"},
		"1e-400 as a size":   {body: oddWith(`"attachments":[{"size":1e-400}]`), code: field, says: "attachments[0].size must be a whole number"},
		"number as a sender": {body: oddWith(`"sender":7`), code: field, says: "sender must be an array"},
		"11,000 recipients": {body: `{"event_id":"` + oddID + `","recipient":["support@yourapp.example"` + strings.Repeat(`,"a"`, 10_999) + `]}`,
			code: field, says: "recipient has 11,000 elements, more than 10,000"},
		"a million recipients": {body: oddWith(`"envelope":{"rcpt_to":["support@yourapp.example"` + strings.Repeat(`,"a"`, 999_999) + `]}`),
			code: field, says: "envelope.rcpt_to has 1,000,000 elements, more than 10,000"},
		"2,000 header fields": {body: oddWith(`"headers":{` + strings.Repeat("0", 0) + strings.TrimSuffix(strings.ReplaceAll(manyNames(2000), ":0", `:""`), ",") + `}`),
			code: field, says: "headers has 2,000 fields, more than 1,000"},
		"1,001 attachments":     {body: oddWith(`"attachments":[{}` + strings.Repeat(`,{}`, 1000) + `]`), code: field, says: "attachments has 1,001 elements, more than 1,000"},
		"address of a megabyte": {body: oddWith(`"sender":["` + strings.Repeat("a", 1<<20) + `"]`), code: field, says: "sender[0] must be at most 1,024 bytes"},
		"object for a text":     {body: oddWith(`"subject":{"\u0000":[]}`), code: field, says: "subject must be a string"},
		"number for a header":   {body: oddWith(`"headers":{"` + oddID + `":7}`), code: field, says: "must be a string or a list of strings", detail: "headers, field 1 must be a string or a list of strings"},
	}
}

// TestOddJSONThatIsAccepted posts each over a real socket: it is answered 200, its
// bytes are kept as they came, and the store step can read them.
func TestOddJSONThatIsAccepted(t *testing.T) {
	t.Parallel()
	for name, in := range oddAccepted() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openIngress(t)
			got := d.send(t, in.body)
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.JSONEq(t, `{"ok":true,"status":"ok","id":"`+oddID+`","duplicate":false}`, got.body)
			require.Equal(t, in.unknown, ingresstest.Counted(t, d.server.metrics.unknownFields.WithLabelValues("mailparse")))
			require.NoError(t, d.stop())
			row := d.ledger.Rows[0]
			kept := row.Body
			if row.BodyKey != "" {
				kept = d.bodies.Objects[string(blob.Raw)+"/"+row.BodyKey]
			}
			require.True(t, in.body == string(kept), "the raw body is kept byte for byte")
			require.Nil(t, row.Hold)
			e, err := payload.Decode(kept, payload.Options{})
			require.NoError(t, err)
			require.Equal(t, in.subject, e.Message.Subject)
			require.Equal(t, []string{"support@yourapp.example"}, e.Recipients())
			require.Empty(t, e.Problems)
		})
	}
}

// TestOddJSONThatIsRefused expects a 400 that names what is wrong and the bound,
// and nothing that remains. No body of any kind is our own failure.
func TestOddJSONThatIsRefused(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	for name, in := range oddRefused() {
		got := d.send(t, in.body)
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", name, got.body)
		var answer refusedAnswer
		require.NoError(t, json.Unmarshal([]byte(got.body), &answer))
		require.Equal(t, in.code, answer.Error, "%s: %s", name, got.body)
		require.Contains(t, got.body, in.says, name)
		require.NotContains(t, got.body, oddID, name)
		require.Less(t, len(got.body), 512, name)
		_, err := payload.Decode([]byte(in.body), payload.Options{})
		require.Equal(t, in.code, fault.From(err).Code, name)
	}
	d.requireNothing(t)
}

// TestOddJSONThatIsHeld: an authentic event is not refused for its content. It is
// answered 200 under its own id and kept byte for byte; the store step reads all the
// rest of it and tells a person what it could not, which a strict source refuses.
func TestOddJSONThatIsHeld(t *testing.T) {
	t.Parallel()
	strict := openIngress(t, func(c *config.Source) { c.Strict = true })
	for name, in := range oddHeld() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openIngress(t)
			got := d.send(t, in.body)
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.JSONEq(t, `{"ok":true,"status":"ok","id":"`+oddID+`","duplicate":false}`, got.body)
			require.NoError(t, d.stop())
			row := d.ledger.Rows[0]
			kept := row.Body
			if row.BodyKey != "" {
				kept = d.bodies.Objects[string(blob.Raw)+"/"+row.BodyKey]
			}
			require.True(t, in.body == string(kept), "the raw body is kept byte for byte")

			e, holds := mailintake.Decoder{}.Decode(kept, nil)
			require.Equal(t, oddID, e.ID)
			require.Contains(t, e.Recipients(), "support@yourapp.example")
			require.LessOrEqual(t, len(e.Recipients()), payload.MaxRecipients)
			require.Len(t, holds, 1)
			require.Equal(t, contract.SchemaInvalid, holds[0].Reason)
			want := in.detail
			if want == "" {
				want = in.says
			}
			require.Contains(t, holds[0].Detail, want)
			require.NotContains(t, holds[0].Detail, oddID)
			require.Less(t, len(holds[0].Detail), 256)

			got = strict.send(t, in.body)
			require.Equal(t, http.StatusBadRequest, got.status, got.body)
			require.Contains(t, got.body, `"error":"`+string(in.code)+`"`)
			require.Contains(t, got.body, in.says)
		})
	}
}

// TestOddJSONIsHeldWhereItWouldBeLost posts the same to a source whose provider
// would drop the mail on a 4xx: a person gets each of them, once.
func TestOddJSONIsHeldWhereItWouldBeLost(t *testing.T) {
	t.Parallel()
	for _, answers := range []string{"standard-webhooks", "sendgrid", "cloudmailin"} {
		t.Run(answers, func(t *testing.T) {
			t.Parallel()
			d := openIngress(t, func(c *config.Source) { c.Answers = answers })
			rows := 0
			for name, in := range oddRefused() {
				if len(in.body) > inlineMax {
					continue // size changes nothing here
				}
				id := "sha256:" + ingresstest.SumOf([]byte(in.body))
				for _, duplicate := range []bool{false, true} {
					got := d.send(t, in.body)
					require.Equal(t, http.StatusOK, got.status, "%s: %s", name, got.body)
					require.JSONEq(t, fmt.Sprintf(`{"ok":true,"status":"ok","id":%q,"duplicate":%v}`, id, duplicate), got.body, name)
				}
				rows++
				require.Equal(t, rows, d.ledger.Size(), name)
				row := d.ledger.Rows[rows-1]
				require.Equal(t, id, row.EventID)
				require.Equal(t, id, row.WorkflowID)
				require.Equal(t, in.body, string(row.Body))
				require.Equal(t, contract.SchemaInvalid, row.Hold.Reason)
				require.NotContains(t, row.Hold.Detail, oddID)
			}
			require.Greater(t, rows, 20)
			require.NotContains(t, d.log.String(), oddID)
		})
	}
}

// TestStrictNamesTheUnknownField: the path of the first one, and none of its content.
func TestStrictNamesTheUnknownField(t *testing.T) {
	t.Parallel()
	d := openIngress(t, func(c *config.Source) { c.Strict = true })
	for fields, path := range map[string]string{
		`"surprise":"s3cret","more":1`:              "surprise",
		`"Subject":"s3cret"`:                        "Subject",
		`"attachments":[{},{"inline":"s3cret"}]`:    "attachments[1].inline",
		`"envelope":{"rcpt_to":[],"helo":"s3cret"}`: "envelope.helo",
		`"sender":[{"address":"","group":"x"}]`:     "sender[0].group",
		`"\u0000\u202e":1`:                          "??",
	} {
		got := d.send(t, oddWith(fields))
		require.Equal(t, http.StatusBadRequest, got.status, got.body)
		require.JSONEq(t, `{"ok":false,"error":"field_unknown","message":"the schema has no field `+path+`"}`, got.body)
	}
	d.requireNothing(t)
	require.NotContains(t, d.log.String(), "s3cret")
}
