package downstream

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/docs/receiving"
)

const (
	plainSecret = "kept as text, with ümlaut"
	base64Key   = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
)

// received is a delivery as a receiver sees it, and the secrets that the receiver has.
type received struct {
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	Secrets []string          `json:"secrets"`

	name   string
	header http.Header
	want   bool
}

// The programs that run a sample: standard input is a JSON list of deliveries, standard
// output one of booleans.
const (
	runNode = `import { verify } from "../../deploy/docs/receiving/verify.mjs";
import { readFileSync } from "node:fs";
console.log(JSON.stringify(JSON.parse(readFileSync(0)).map((one) =>
  verify(one.headers, Buffer.from(one.body, "base64"), ...one.secrets))));`
	runPython = `import base64, json, sys
sys.dont_write_bytecode = True
sys.path.insert(0, "../../deploy/docs/receiving")
from verify import verify
print(json.dumps([verify(one["headers"], base64.b64decode(one["body"]), *one["secrets"]) for one in json.load(sys.stdin)]))`
)

// TestReceiversVerify signs as a destination is called, and lets each sample of
// deploy/docs/receiving.md verify it.
func TestReceiversVerify(t *testing.T) {
	t.Parallel()
	all := deliveries(t)
	input, err := json.Marshal(all)
	require.NoError(t, err)

	for name, command := range map[string][]string{
		"node":   {"node", "--input-type=module", "--eval", runNode},
		"python": {"python3", "-c", runPython},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := exec.CommandContext(t.Context(), command[0], command[1:]...)
			run.Stdin = bytes.NewReader(input)
			output, err := run.Output()
			require.NoError(t, err, "%s has to be installed: %s", command[0], stderrOf(err))
			var got []bool
			require.NoError(t, json.Unmarshal(output, &got))
			require.Len(t, got, len(all))
			for i, one := range all {
				require.Equal(t, one.want, got[i], one.name)
			}
		})
	}

	t.Run("go", func(t *testing.T) {
		t.Parallel()
		for _, one := range all {
			require.Equal(t, one.want, receiving.Verify(one.header, one.Body, one.Secrets...), one.name)
		}
	})
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

// deliveries returns what the samples have to accept and to refuse.
func deliveries(t *testing.T) []received {
	t.Helper()
	body := []byte("{\"text\":\"ü \\u0000 \xff\"}\n")
	now := time.Now()
	var all []received
	add := func(name string, want bool, signedWith string, at time.Time, secrets []string, change func(*received)) {
		one := received{name: name, want: want, Body: body, Secrets: secrets, header: http.Header{}}
		signer, err := newSigner(signedWith)
		require.NoError(t, err)
		require.NoError(t, signer.sign(one.header, "mr_0123", body, at))
		if change != nil {
			change(&one)
		}
		one.Headers = map[string]string{}
		for name := range one.header {
			one.Headers[strings.ToLower(name)] = one.header.Get(name)
		}
		all = append(all, one)
	}
	set := func(name, value string) func(*received) {
		return func(one *received) { one.header.Set(name, value) }
	}

	for _, secret := range []string{plainSecret, base64Key} {
		other := map[string]string{plainSecret: base64Key, base64Key: plainSecret}[secret]
		alone := []string{secret}
		add("good", true, secret, now, alone, nil)
		add("four minutes old", true, secret, now.Add(-4*time.Minute), alone, nil)
		add("the new key while it rotates", true, secret, now, []string{secret, other}, nil)
		add("the old key while it rotates", true, secret, now, []string{other, secret}, nil)
		add("two signatures", true, secret, now, alone, func(one *received) {
			one.header.Set("webhook-signature", "v1,AAAA "+one.header.Get("webhook-signature"))
		})
		add("another body", false, secret, now, alone, func(one *received) { one.Body = append([]byte(" "), body...) })
		add("another key", false, secret, now, []string{other}, nil)
		add("old", false, secret, now.Add(-6*time.Minute), alone, nil)
		add("from the future", false, secret, now.Add(6*time.Minute), alone, nil)
		add("another id", false, secret, now, alone, set("webhook-id", "mr_0124"))
		add("another time", false, secret, now, alone, set("webhook-timestamp", strconv.FormatInt(now.Unix()+1, 10)))
		add("no time", false, secret, now, alone, set("webhook-timestamp", ""))
		add("an endless time", false, secret, now, alone, set("webhook-timestamp", strings.Repeat("9", 5000)))
		add("no signature", false, secret, now, alone, func(one *received) { one.header.Del("webhook-signature") })
		add("after a secret that is no base64", true, secret, now, []string{"whsec_%%%", secret}, nil)
		add("no secret", false, secret, now, []string{}, nil)
	}

	// An attacker signs with the empty key.
	add("an empty secret", false, plainSecret, now, []string{"", "whsec_"}, func(one *received) {
		one.header.Set("webhook-signature", emptyKeySignature(one.header, body))
	})
	return all
}

// emptyKeySignature signs as anyone can who knows that no secret is set.
func emptyKeySignature(h http.Header, body []byte) string {
	mac := hmac.New(sha256.New, nil)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
