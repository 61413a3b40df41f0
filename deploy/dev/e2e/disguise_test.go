package e2e_test

import (
	"encoding/base64"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/mime/mimetest"
	"mailroom/shared/testenv"
)

// Malware in a mail that programs take apart differently once left as clean. Whatever
// hides the archive, in a field, a boundary, a type, an encoding or behind a limit of the
// parser, the mail is held and nothing of it reaches a destination; the same tricks
// around a harmless file do not make it malware.
func TestDisguisedMalwareIsNeverDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	archive := zipped("test.com", eicar(), false)
	mails := mimetest.Disguises(archive)
	require.Greater(t, len(mails), 90)
	maps.Copy(mails, prefixed("beyond ", mimetest.Beyond(archive)))
	ids := w.sendRaw(mails)

	for _, name := range slices.Sorted(maps.Keys(ids)) {
		e := w.until(ids[name], "quarantined")
		require.Contains(t, []string{"infected", "unscannable", "mime_malformed", "attachment_mismatch"}, e.Reason, "%s: %s", name, e.Detail)
		require.Empty(t, w.effects(ids[name]), name)
	}

	harmless := mimetest.Disguises(zipped("test.txt", make([]byte, 80), false))
	ids = w.sendRaw(harmless)
	w.until(ids["none"], "delivered")
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		testenv.Eventually(t, func() bool {
			state := w.email(ids[name]).State
			return state == "delivered" || state == "quarantined"
		}, patience, tick, "%s does not come to rest", name)
		require.NotEqual(t, "infected", w.email(ids[name]).Reason, name)
	}
}

// sendRaw posts each raw mail inside an event of its own and returns the ids by name.
func (w *world) sendRaw(mails map[string]string) map[string]string {
	w.t.Helper()
	ids := map[string]string{}
	for name, raw := range mails {
		id := newID()
		encoded := base64.StdEncoding.EncodeToString([]byte(raw))
		w.accept(shapeA(id, "support").with(fields{"raw_mime_base64": encoded}).json())
		ids[name] = id
	}
	return ids
}

func prefixed(prefix string, of map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range of {
		out[prefix+name] = value
	}
	return out
}
