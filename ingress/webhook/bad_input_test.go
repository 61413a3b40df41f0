package webhook

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/signing"
)

// badInput is one request that must leave nothing behind.
type badInput struct {
	status int
	code   fault.Code
	method string // default POST
	path   string // default the source's
	body   string // default a good event
	change func(http.Header)
	length int64 // default the body's
}

func set(name string, values ...string) func(http.Header) {
	return func(h http.Header) {
		h[http.CanonicalHeaderKey(name)] = values
		if values == nil {
			h.Del(name)
		}
	}
}

// stamped signs body with another timestamp text.
func stamped(stamp, body string) func(http.Header) {
	return func(h http.Header) {
		h.Set(signing.TimestampHeader, stamp)
		h.Set(signing.SignatureHeader, signing.TimestampHMAC(testSecret, stamp, []byte(body)))
	}
}

func badInputs() map[string]badInput {
	const good = `{"event_id":"evt_refused","recipient":["support@yourapp.example"],"subject":"a secret subject"}`
	now := time.Now()
	inputs := map[string]badInput{
		"no headers at all": {status: 401, code: fault.SignatureMissing, change: func(h http.Header) {
			h.Del(signing.SignatureHeader)
			h.Del(signing.TimestampHeader)
		}},
		"no signature":       {status: 401, code: fault.SignatureMissing, change: set(signing.SignatureHeader)},
		"no timestamp":       {status: 401, code: fault.TimestampMissing, change: set(signing.TimestampHeader)},
		"two timestamps":     {status: 401, code: fault.TimestampInvalid, change: set(signing.TimestampHeader, "1", "2")},
		"wrong signature":    {status: 401, code: fault.SignatureInvalid, change: set(signing.SignatureHeader, strings.Repeat("ab", 32))},
		"short signature":    {status: 401, code: fault.SignatureInvalid, change: set(signing.SignatureHeader, "abcd")},
		"empty signature":    {status: 401, code: fault.SignatureInvalid, change: set(signing.SignatureHeader, "")},
		"unknown version":    {status: 401, code: fault.SignatureInvalid, change: set(signing.SignatureHeader, "v2="+strings.Repeat("ab", 32))},
		"too many of them":   {status: 401, code: fault.SignatureInvalid, change: set(signing.SignatureHeader, strings.Repeat("ab,", 100))},
		"body was changed":   {status: 401, code: fault.SignatureInvalid, body: good + " ", change: stamped(strconv.FormatInt(now.Unix(), 10), good)},
		"not json, unsigned": {status: 401, code: fault.SignatureInvalid, body: "{", change: set(signing.SignatureHeader, strings.Repeat("ab", 32))},

		"not POST":              {status: 405, code: fault.MethodNotAllowed, method: http.MethodPut},
		"GET":                   {status: 405, code: fault.MethodNotAllowed, method: http.MethodGet},
		"POST to healthz":       {status: 405, code: fault.MethodNotAllowed, path: "/healthz"},
		"unknown path":          {status: 404, code: fault.NotFound, path: "/webhooks/other"},
		"trailing slash":        {status: 404, code: fault.NotFound, path: "/webhooks/email/"},
		"root":                  {status: 404, code: fault.NotFound, path: "/"},
		"no content type":       {status: 415, code: fault.ContentTypeInvalid, change: set("Content-Type")},
		"form":                  {status: 415, code: fault.ContentTypeInvalid, change: set("Content-Type", "application/x-www-form-urlencoded")},
		"text":                  {status: 415, code: fault.ContentTypeInvalid, change: set("Content-Type", "text/plain")},
		"other charset":         {status: 415, code: fault.ContentTypeInvalid, change: set("Content-Type", "application/json; charset=utf-16")},
		"other parameter":       {status: 415, code: fault.ContentTypeInvalid, change: set("Content-Type", "application/json; v=2")},
		"two content types":     {status: 415, code: fault.ContentTypeInvalid, change: set("Content-Type", "application/json", "text/plain")},
		"broken content type":   {status: 415, code: fault.ContentTypeInvalid, change: set("Content-Type", "application/json; charset")},
		"gzip":                  {status: 415, code: fault.EncodingRefused, change: set("Content-Encoding", "gzip")},
		"identity, then gzip":   {status: 415, code: fault.EncodingRefused, change: set("Content-Encoding", "identity", "gzip")},
		"declared too large":    {status: 413, code: fault.BodyTooLarge, body: strings.Repeat("x", 4097)},
		"chunked and too large": {status: 413, code: fault.BodyTooLarge, body: strings.Repeat("x", 4097), length: -1},

		"empty body":        {status: 400, code: fault.JSONMalformed, body: ""},
		"invalid json":      {status: 400, code: fault.JSONMalformed, body: `{"event_id":"evt_refused"`},
		"an array":          {status: 400, code: fault.JSONMalformed, body: `[]`},
		"duplicate keys":    {status: 400, code: fault.JSONMalformed, body: `{"event_id":"evt_refused","event_id":"evt_other"}`},
		"not utf-8":         {status: 400, code: fault.JSONMalformed, body: "{\"event_id\":\"evt_refused\",\"subject\":\"\xff\"}"},
		"missing id":        {status: 400, code: fault.EventIDMissing, body: `{"recipient":["support@yourapp.example"]}`},
		"empty id":          {status: 400, code: fault.EventIDInvalid, body: `{"event_id":"","recipient":[]}`},
		"id of 10,000":      {status: 400, code: fault.EventIDInvalid, body: `{"event_id":"evt_refused` + strings.Repeat("x", 10_000) + `","recipient":[]}`},
		"id with control":   {status: 400, code: fault.EventIDInvalid, body: `{"event_id":"evt_refused\u0007","recipient":[]}`},
		"id with NUL":       {status: 400, code: fault.EventIDInvalid, body: `{"event_id":"evt_refused\u0000","recipient":[]}`},
		"two different ids": {status: 400, code: fault.EventIDInvalid, body: `{"event_id":"evt_refused","id":"evt_other","recipient":[]}`},
	}
	for name, stamp := range map[string]string{
		"stale": strconv.FormatInt(now.Add(-6*time.Minute).Unix(), 10), "future": strconv.FormatInt(now.Add(time.Hour).UnixMilli(), 10),
		"zero": "0",
	} {
		inputs["timestamp "+name] = badInput{status: 401, code: fault.TimestampStale, change: stamped(stamp, good)}
	}
	for _, stamp := range []string{"NaN", "1e12", "-1", "", "+1", "0x1", "1 2", strings.Repeat("1", 17), strconv.FormatInt(now.Unix(), 10) + ".5"} {
		inputs["timestamp "+stamp] = badInput{status: 401, code: fault.TimestampInvalid, change: stamped(stamp, good)}
	}
	for name, in := range inputs {
		if in.body == "" && name != "empty body" {
			in.body = good
		}
		if strings.HasPrefix(name, "id of") {
			in.length = -1
		}
		inputs[name] = in
	}
	return inputs
}

// TestBadInput sends each bad request over a real socket: it gets its status and
// code, and nothing remains of it: no row, no object, no start, no file, no id and
// no content in the log.
func TestBadInput(t *testing.T) {
	t.Parallel()
	for name, in := range badInputs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openIngress(t, func(c *config.Source) {
				if in.code == fault.BodyTooLarge {
					c.MaxBody = 4096
				}
			})
			h := sign([]byte(in.body))
			h.Set("X-Correlation-Id", "correlation-refused")
			if in.change != nil {
				in.change(h)
			}
			method, path, length := http.MethodPost, "/webhooks/email", int64(len(in.body))
			if in.method != "" {
				method = in.method
			}
			if in.path != "" {
				path = in.path
			}
			if in.length != 0 {
				length = in.length
			}
			got := d.do(t, method, path, h, strings.NewReader(in.body), length)
			require.Equal(t, in.status, got.status, got.body)
			var answer refusedAnswer
			require.NoError(t, json.Unmarshal([]byte(got.body), &answer))
			require.Equal(t, in.code, answer.Error, got.body)
			require.False(t, answer.OK)
			require.NotEmpty(t, answer.Message)
			require.NotContains(t, got.body, "evt_")
			if in.status == http.StatusMethodNotAllowed {
				require.NotEmpty(t, got.header.Get("Allow"))
			}
			d.requireNothing(t)
		})
	}
}
