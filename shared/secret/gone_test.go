package secret

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stand is a store whose clock a test moves, with one secret behind ref.
type stand struct {
	bundle

	at       time.Time
	cell     *cell
	secret   Secret
	verifier Secret
}

func openStand(t *testing.T, ref string, env map[string]string) *stand {
	t.Helper()
	s := &stand{bundle: setup(t, options{Getenv: func(name string) string { return env[name] }}), at: time.Unix(1_800_000_000, 0)}
	s.now = func() time.Time { return s.at }
	s.secret = s.resolve(t, ref)
	s.verifier = s.Verifying(ref)
	s.cell = s.cells[ref]
	return s
}

// readAfter moves the clock and reads the secret again.
func (s *stand) readAfter(t *testing.T, after time.Duration) Status {
	t.Helper()
	s.at = s.at.Add(after)
	s.refresh(t.Context(), s.cell)
	return s.Status()[0]
}

// TestFileThatIsGoneStopsVerifying after the grace period, with an alarm when it has
// been gone for a minute. What is signed with it keeps its text, and when it comes
// back all is well.
func TestFileThatIsGoneStopsVerifying(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, "one")
	s := openStand(t, "file:"+path, nil)
	require.Equal(t, "one", s.verifier.Reveal())
	require.NoError(t, os.Remove(path))

	began := s.at
	require.False(t, s.readAfter(t, 0).Gone, "it may be replaced at the moment")
	require.False(t, s.readAfter(t, fileGoneAfter-time.Second).Gone)
	st := s.readAfter(t, time.Second)
	require.True(t, st.Gone)
	require.Equal(t, began.Add(24*time.Hour), st.VerifiesUntil)
	require.Equal(t, 1, s.logs.count("secret.gone"))
	require.Contains(t, s.logs.String(), `"level":"ERROR","msg":"secret.gone","ref":"file:`)

	s.readAfter(t, 24*time.Hour-fileGoneAfter-time.Second)
	require.Equal(t, "one", s.verifier.Reveal(), "until the grace period is over")
	require.True(t, s.readAfter(t, time.Second).Withdrawn)
	require.NotEqual(t, "one", s.verifier.Reveal())
	require.Len(t, s.verifier.Reveal(), 2*26+1, "unguessable text")
	require.Equal(t, "one", s.secret.Reveal())
	s.readAfter(t, time.Hour)
	require.Equal(t, 1, s.logs.count("secret.gone"))
	require.Equal(t, 1, s.logs.count("secret.withdrawn"))

	write(t, path, "one")
	st = s.readAfter(t, time.Hour)
	require.False(t, st.Gone || st.Withdrawn || st.Failing)
	require.Equal(t, "one", s.verifier.Reveal())
	require.NoError(t, os.Remove(path))
	s.readAfter(t, time.Hour)
	require.Equal(t, "one", s.verifier.Reveal(), "the grace period begins anew")
}

// TestReplacingAFileIsNoAlarm: it is missing for a moment, or empty, or its directory is
// not mounted.
func TestReplacingAFileIsNoAlarm(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mount")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "secret")
	write(t, path, "one")
	s := openStand(t, "file:"+path, nil)
	for _, change := range []func(){
		func() { require.NoError(t, os.Remove(path)) },
		func() { write(t, path, "one") },
		func() { write(t, path, "") },
		func() { require.NoError(t, os.RemoveAll(dir)) },
	} {
		change()
		s.readAfter(t, 59*time.Second)
	}
	for range 10 {
		require.False(t, s.readAfter(t, 24*time.Hour).Gone)
	}
	require.Equal(t, "one", s.verifier.Reveal())
	require.Zero(t, s.logs.count("secret.gone"))
}

// TestUnreachableStoreWithdrawsNothing: Vault says 404, which counts at once, and then
// nothing for longer than the grace period.
func TestUnreachableStoreWithdrawsNothing(t *testing.T) { //nolint:paralleltest // the client reads the environment
	v, b := newVault(t, options{})
	s := &stand{bundle: b, at: time.Unix(1_800_000_000, 0)}
	s.now = func() time.Time { return s.at }
	s.SetGrace(time.Hour)
	const ref = "vault:kv/app#key"
	there := map[string]any{"key": "one"}
	v.set("kv/data/app", there)
	s.secret = s.resolve(t, ref)
	s.verifier, s.cell = s.Verifying(ref), s.cells[ref]

	v.answer(http.StatusServiceUnavailable)
	st := s.readAfter(t, 48*time.Hour)
	require.True(t, st.Failing)
	require.False(t, st.Gone)
	v.answer(http.StatusNotFound)
	began := s.at
	st = s.readAfter(t, 0)
	require.True(t, st.Gone, "404 is an answer")
	require.Equal(t, began.Add(time.Hour), st.VerifiesUntil)
	require.InDelta(t, 1, s.metric(t, "mailroom_secret_gone", ref), 0)
	require.InDelta(t, float64(st.VerifiesUntil.Unix()), s.metric(t, "mailroom_secret_verifies_until_timestamp_seconds", ref), 0)
	v.answer(http.StatusForbidden)
	s.readAfter(t, 48*time.Hour)
	require.Equal(t, "one", s.verifier.Reveal(), "its store does not say any more that it does not exist")
	v.answer(http.StatusNotFound)
	require.True(t, s.readAfter(t, 0).Withdrawn)
	require.NotEqual(t, "one", s.verifier.Reveal())
	v.answer(0)
	require.False(t, s.readAfter(t, 0).Gone)
	require.Equal(t, "one", s.verifier.Reveal())

	// Its field, and its latest version.
	v.set("kv/data/app", map[string]any{"other": "one"})
	require.True(t, s.readAfter(t, 0).Gone)
	v.set("kv/data/app", there)
	require.False(t, s.readAfter(t, 0).Gone)
	v.set("kv/data/app", nil)
	require.True(t, s.readAfter(t, 0).Gone)
}

// TestDeletedInAWS, or scheduled for it.
func TestDeletedInAWS(t *testing.T) { //nolint:paralleltest // the client reads the environment
	a, b := newAWS(t, options{})
	const ref = "aws-sm:prod/app"
	s := &stand{bundle: b, at: time.Unix(1_800_000_000, 0)}
	s.now = func() time.Time { return s.at }
	a.set("prod/app", map[string]any{"SecretString": "one"})
	s.secret = s.resolve(t, ref)
	s.verifier, s.cell = s.Verifying(ref), s.cells[ref]
	for status, code := range map[int]string{http.StatusInternalServerError: "InternalServiceError", http.StatusForbidden: "AccessDeniedException"} {
		a.fail(status, code)
		require.False(t, s.readAfter(t, 0).Gone, code)
	}
	for _, code := range []string{"ResourceNotFoundException", "InvalidRequestException"} {
		a.fail(http.StatusBadRequest, code)
		require.True(t, s.readAfter(t, 0).Gone, code)
		a.fail(0, "")
		require.False(t, s.readAfter(t, 0).Gone)
	}
}
