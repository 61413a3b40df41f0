package main

import (
	"crypto/hmac"
	"net/http"
	"strings"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"mailroom/shared/signing"
)

// What became of a signature.
const (
	signatureOK  = "ok"
	signatureBad = "bad"
)

// verifier checks both signatures of a delivery. Without a secret it checks nothing.
type verifier struct {
	secret   string
	standard *standardwebhooks.Webhook
}

// newVerifier returns a verifier for a secret in the form of the destination's configuration:
// whsec_ and base64, or any text. With a whsec_ secret that cannot be decoded no signature is
// valid.
func newVerifier(secret string) verifier {
	v := verifier{secret: secret}
	if strings.HasPrefix(secret, "whsec_") {
		v.standard, _ = standardwebhooks.NewWebhook(secret)
	} else {
		v.standard, _ = standardwebhooks.NewWebhookRaw([]byte(secret))
	}
	return v
}

func (v verifier) verify(h http.Header, body []byte) string {
	if v.secret == "" {
		return ""
	}
	want := signing.TimestampHMAC(v.secret, h.Get(signing.TimestampHeader), body)
	if v.standard == nil || v.standard.Verify(body, h) != nil ||
		!hmac.Equal([]byte(want), []byte(h.Get(signing.SignatureHeader))) {
		return signatureBad
	}
	return signatureOK
}
