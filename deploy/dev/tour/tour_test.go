package tour

import (
	"archive/zip"
	"bytes"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
)

func TestCompact(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 11, 22, 14, 5, 1, 250e6, time.Local).UTC().Format(time.RFC3339Nano)
	for line, want := range map[string]string{
		`{"time":"` + clock + `","level":"INFO","msg":"event.received","program":"ingress","event_id":"e-1","size":7}`: "14:05:01.250 event.received event_id=e-1 size=7",
		`{"level":"WARN","msg":"slow","detail":"two words","empty":"","list":[1,2]}`:                                   `WARN slow detail="two words" empty="" list=[1,2]`,
		"plain text":  "plain text",
		`{"cut": "of`: `{"cut": "of`,
		"":            "",
	} {
		require.Equal(t, want, compact([]byte(line)))
	}
	require.NotContains(t, compact([]byte(`{"msg":"x","v":"\u001b[2J"}`)), "\x1b")
}

// TestReadsOfTheTourHideNothing: the log has a line for each state that the tour asks for, four
// a second and sample; what was printed of the mail itself was lost between them.
func TestReadsOfTheTourHideNothing(t *testing.T) {
	t.Parallel()
	require.True(t, isRead([]byte(`{"level":"INFO","msg":"operator.request","method":"GET","route":"/api/v1/emails/:event_id","status":200}`)))
	for _, shown := range []string{
		`{"level":"INFO","msg":"operator.request","method":"POST","route":"/api/v1/emails/:event_id/decisions","status":200}`,
		`{"level":"WARN","msg":"operator.request","method":"GET","route":"/api/v1/emails","status":503}`,
		`{"level":"INFO","msg":"email.state","detail":"operator.request","method":"GET","status":200}`,
		`operator.request, and no JSON`,
	} {
		require.False(t, isRead([]byte(shown)), shown)
	}
}

func TestATailGivesWholeLinesAndFollowsARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "worker.log")
	require.NoError(t, os.WriteFile(path, []byte("one\ntw"), 0o600))
	tail := &tail{path: path}
	defer tail.close()
	require.Equal(t, [][]byte{[]byte("one")}, tail.lines())
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = io.WriteString(file, "o\nthree\n")
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.Equal(t, [][]byte{[]byte("two"), []byte("three")}, tail.lines())
	require.Empty(t, tail.lines())

	require.NoError(t, os.Rename(path, path+".before"))
	require.NoError(t, os.WriteFile(path, []byte("four\n"), 0o600))
	require.Equal(t, [][]byte{[]byte("four")}, tail.lines())
}

func TestSamplesAreWhatTheySay(t *testing.T) {
	t.Parallel()
	drawn, err := picture()
	require.NoError(t, err)
	_, err = png.Decode(bytes.NewReader(drawn))
	require.NoError(t, err)

	packed, err := infectedZip()
	require.NoError(t, err)
	archive, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	require.NoError(t, err)
	file, err := archive.File[0].Open()
	require.NoError(t, err)
	content, err := io.ReadAll(file)
	require.NoError(t, err)
	require.Equal(t, stack.EICAR(), string(content))
	require.Len(t, content, 68)

	ids := map[string]bool{}
	for _, x := range append(samples(newStamp(time.Unix(1, 0))), samples(newStamp(time.Unix(2, 0)))...) {
		require.False(t, ids[x.id], x.id)
		ids[x.id] = true
	}
}

// TestHintsAreWhatTheCallerCanType: an installed stack has no make, and may have no Temporal
// command line.
func TestHintsAreWhatTheCallerCanType(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s, err := stack.New(stack.Options{Dir: t.TempDir(), Vars: stack.DevDefaults()})
	require.NoError(t, err)
	hints := func(caller stack.Caller) string {
		var out bytes.Buffer
		New(s, Operator{token: stack.DevDefaults().Get("OPERATOR_TOKEN")}, &out, process.NewConsole(&out), caller, "").whatNext(sample{id: "held"})
		return out.String()
	}

	require.Contains(t, hints(stack.Caller{Mailctl: ".dev/bin/mailctl"}), "\n  $(make temporal) workflow signal --address ")
	require.Contains(t, hints(stack.Caller{Mailctl: ".dev/bin/mailctl"}), "\n  .dev/bin/mailctl emails approve held ")
	installed := hints(stack.Caller{Program: "npx mailroom", Mailctl: "npx mailroom mailctl"})
	require.Contains(t, installed, "\n  npx mailroom mailctl emails approve held ")
	require.NotContains(t, installed, "make")
	require.NotContains(t, installed, "workflow signal")
}

func TestASecretOfOnesOwnIsNotPrinted(t *testing.T) {
	t.Parallel()
	vars := stack.DevDefaults()
	require.Equal(t, "dev-operator-token", secret(vars, "OPERATOR_TOKEN"))
	vars["OPERATOR_TOKEN"] = "hunter2"
	require.Equal(t, "your OPERATOR_TOKEN", secret(vars, "OPERATOR_TOKEN"))
}
