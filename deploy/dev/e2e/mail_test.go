package e2e_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
)

var serial atomic.Int64

// newID returns an event id that no other test uses.
func newID() string { return fmt.Sprintf("evt_%s_%d", strings.ToLower(rand.Text()[:8]), serial.Add(1)) }

// fields is the JSON of an event.
type fields map[string]any

func (f fields) with(more fields) fields {
	out := fields{}
	for k, v := range f {
		out[k] = v
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

func (f fields) json() []byte {
	b, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return b
}

// The canaries stand in every mail and must turn up in no log, metric or history.
const (
	canarySubject = "canary-subject-7f3a"
	canaryText    = "canary-text-91bc"
	canaryLocal   = "canary-sender-55de"
	canaryFile    = "canary-file-08aa.txt"
)

// shapeA is an event in the first shape, to a mailbox of ours.
func shapeA(id, mailbox string) fields {
	to := mailbox + "@yourapp.example"
	return fields{
		"event_id": id, "timestamp": "2026-01-02T03:04:05Z", "type": "email.received",
		"envelope": fields{"mail_from": canaryLocal + "@elsewhere.example", "rcpt_to": []string{to}},
		"sender":   []any{fields{"address": canaryLocal + "@elsewhere.example", "name": "Canary"}}, "recipient": []string{to},
		"subject": canarySubject, "text": canaryText, "html": "<p>" + canaryText + "</p>", "attachments": []any{},
	}
}

// shapeB is an event in the second shape.
func shapeB(id, mailbox string) fields {
	return fields{
		"id": id, "messageId": "<" + id + "@elsewhere.example>", "receivedAt": "2026-01-02T03:04:05Z",
		"from": fields{"address": canaryLocal + "@elsewhere.example", "name": "Canary"},
		"to":   []any{fields{"address": mailbox + "@yourapp.example", "name": ""}}, "cc": []any{},
		"subject": canarySubject, "text": canaryText, "html": "", "attachments": []any{}, "headers": fields{},
	}
}

// attached describes content in shape A.
func attached(name, contentType string, content []byte) fields {
	sum := sha256.Sum256(content)
	return fields{
		"filename": name, "content_type": contentType, "size": len(content),
		"checksum": "sha256:" + hex.EncodeToString(sum[:]), "content_base64": base64.StdEncoding.EncodeToString(content),
	}
}

// eicar is the antivirus test file, put together here so that no file of the
// tree is taken for it.
func eicar() []byte {
	return []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`)
}

// zipped returns an archive with one entry; encrypted sets the flag that says so.
func zipped(name string, content []byte, encrypted bool) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Store}
	if encrypted {
		h.Flags |= 1
	}
	e, err := w.CreateHeader(h)
	if err != nil {
		panic(err)
	}
	if _, err := e.Write(content); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// rawMail is a mail with a picture attached and another subject than the
// provider's field has.
func rawMail(subject string) []byte {
	return []byte(strings.ReplaceAll(`Message-ID: <raw@elsewhere.example>
From: Canary <`+canaryLocal+`@elsewhere.example>
To: support@yourapp.example
Subject: `+subject+`
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

--b1
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

caf=E9 `+canaryText+`
--b1
Content-Type: text/csv; name="`+canaryFile+`"
Content-Disposition: attachment; filename="`+canaryFile+`"
Content-Transfer-Encoding: base64

YSxiLGMKMSwyLDMK
--b1--
`, "\n", "\r\n"))
}
