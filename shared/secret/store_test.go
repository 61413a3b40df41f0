package secret

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReferencesThatAreNone(t *testing.T) {
	t.Parallel()
	b := setup(t, options{Getenv: func(string) string { return "x" }})
	for _, ref := range []string{
		"", "hunter2", "hunter2:x", "env:", "file:", "vault:", "vault:hunter2", "vault:hunter2/a", "vault:hunter2/a#",
		"vault:hunter2#f", "vault:/hunter2#f", "vault:kv/../hunter2#f", "vault:kv//hunter2#f", "vault:kv/hunter2/#f",
		"aws-sm:", "aws-sm:#hunter2", "aws-sm:hunter2#",
	} {
		_, err := b.Resolve(t.Context(), ref)
		require.Error(t, err, ref)
		require.NotErrorIs(t, err, ErrNothing, ref)
		require.NotContains(t, err.Error(), "hunter2", "what is no reference may be a secret")
	}
	require.Empty(t, b.Status())
}

func TestParse(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]reference{
		"env:A":                {scheme: "env", name: "A"},
		"file:/a:b#c":          {scheme: "file", name: "/a:b#c"},
		"vault:kv/a/b#c#d":     {scheme: "vault", mount: "kv", name: "a/b", field: "c#d"},
		"aws-sm:prod/app":      {scheme: "aws-sm", name: "prod/app"},
		"aws-sm:prod/app#hook": {scheme: "aws-sm", name: "prod/app", field: "hook"},
		"aws-sm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf#k": {
			scheme: "aws-sm", name: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf", field: "k",
		},
	} {
		want.text = ref
		got, err := parse(ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, got, ref)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	b := setup(t, options{Getenv: func(name string) string { return map[string]string{"A": "text\n"}[name] }})
	require.Equal(t, "text\n", b.resolve(t, "env:A").Reveal())
	_, err := b.Resolve(t.Context(), "env:B")
	require.EqualError(t, err, "env:B resolves to nothing: the variable is not set")
	require.ErrorIs(t, err, ErrNothing)
	_, _, err = b.Expect(t.Context(), "env:B")
	require.ErrorIs(t, err, ErrNothing, "a variable cannot appear")
}

func TestFileTexts(t *testing.T) {
	t.Parallel()
	b := setup(t, options{})
	dir := t.TempDir()
	for name, tc := range map[string]struct{ text, want string }{
		"plain":   {"s3cret", "s3cret"},
		"newline": {"s3cret\n", "s3cret"},
		"windows": {"s3cret\r\n", "s3cret"},
		"two":     {"s3cret\n\n", "s3cret\n"},
		"space":   {" s3cret ", " s3cret "},
		"bound":   {strings.Repeat("s", maxText), strings.Repeat("s", maxText)},
	} {
		path := filepath.Join(dir, name)
		write(t, path, tc.text)
		require.Equal(t, tc.want, b.resolve(t, "file:"+path).Reveal(), name)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"empty":    {"", "resolves to nothing: it is empty"},
		"only-end": {"\n", "resolves to nothing: it is empty"},
		"large":    {strings.Repeat("s", maxText+1), "is larger than 64KiB"},
	} {
		path := filepath.Join(dir, name)
		write(t, path, tc.text)
		_, err := b.Resolve(t.Context(), "file:"+path)
		require.EqualError(t, err, "file:"+path+" "+tc.want)
	}
	_, err := b.Resolve(t.Context(), "file:"+dir)
	require.EqualError(t, err, "file:"+dir+" cannot be read: it is not a regular file")
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err = b.Resolve(t.Context(), "file:"+pipe)
	require.ErrorContains(t, err, "not a regular file", "and it must not hang")
	_, err = b.Resolve(t.Context(), "file:"+filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, ErrNothing)
}

func TestSameReferenceIsOneSecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "one")
	b := setup(t, options{})
	got := make([]Secret, 16)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() { got[i], _ = b.Resolve(context.Background(), "file:"+path) })
	}
	all.Wait()
	for _, s := range got {
		require.True(t, got[0] == s)
	}
	require.Len(t, b.Status(), 1)
}

func TestFileFollowsChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, path, text string){
		"written in place": write,
		"replaced":         replace,
		"removed, then made": func(t *testing.T, path, text string) {
			t.Helper()
			require.NoError(t, os.Remove(path))
			write(t, path, text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "token")
			write(t, path, "one\n")
			b := setup(t, options{})
			s := b.resolve(t, "file:"+path)
			b.watch(t)
			for i := range 3 {
				text := fmt.Sprint("text ", i)
				change(t, path, text+"\n")
				shows(t, s, text)
			}
			b.logged(t, "secret.renewed", 3)
			require.NotContains(t, b.logs.String(), "text 1")
		})
	}
}

func TestFileFollowsKubernetes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	swap := mount(t, dir, "token")
	swap("..2026_11_24_01", "one")
	b := setup(t, options{})
	ref := "file:" + filepath.Join(dir, "token")
	s := b.resolve(t, ref)
	require.Equal(t, "one", s.Reveal())
	b.watch(t)
	swap("..2026_11_24_02", "two")
	shows(t, s, "two")
	swap("..2026_11_24_03", "three")
	shows(t, s, "three")
	require.False(t, b.status(ref).Failing)
}

func TestChangeBeforeWatchIsSeen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "one")
	b := setup(t, options{})
	s := b.resolve(t, "file:"+path)
	write(t, path, "two")
	b.watch(t)
	shows(t, s, "two")
	late := filepath.Join(t.TempDir(), "late")
	write(t, late, "three")
	other := b.resolve(t, "file:"+late)
	require.Equal(t, "three", other.Reveal())
	require.Eventually(t, func() bool { // it is listened to soon after it was resolved
		replace(t, late, "four")
		return other.Reveal() == "four"
	}, soon, 100*time.Millisecond)
}

// Nothing is notified if the directory of the link stays as it is: that is what
// the poll is for.
func TestPollFindsWhatWasNotNotified(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	write(t, filepath.Join(elsewhere, "token"), "one")
	require.NoError(t, os.Symlink(filepath.Join(elsewhere, "token"), filepath.Join(dir, "token")))
	b := setup(t, options{FilePoll: 20 * time.Millisecond})
	s := b.resolve(t, "file:"+filepath.Join(dir, "token"))
	b.watch(t)
	replace(t, filepath.Join(elsewhere, "token"), "two")
	shows(t, s, "two")
}

func TestDirectoryThatIsMadeAgainIsWatchedAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mounted")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "token")
	write(t, path, "one")
	b := setup(t, options{FilePoll: 20 * time.Millisecond})
	s := b.resolve(t, "file:"+path)
	b.watch(t)
	require.NoError(t, os.RemoveAll(dir))
	b.fails(t, "file:"+path, true)
	require.Equal(t, "one", s.Reveal())
	require.NoError(t, os.Mkdir(dir, 0o700))
	write(t, path, "two")
	shows(t, s, "two")
	b.fails(t, "file:"+path, false)
}

func TestLostFileKeepsItsLastValue(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(path string) error{
		"deleted":   os.Remove,
		"truncated": func(path string) error { return os.Truncate(path, 0) },
		"too large": func(path string) error { return os.Truncate(path, maxText+1) },
		"a directory": func(path string) error {
			_ = os.Remove(path)
			return os.Mkdir(path, 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "token")
			write(t, path, "good")
			ref := "file:" + path
			b := setup(t, options{FilePoll: 10 * time.Millisecond})
			s := b.resolve(t, ref)
			began := b.status(ref).Updated
			b.watch(t)
			require.NoError(t, lose(path))
			b.fails(t, ref, true)
			require.Equal(t, "good", s.Reveal())
			require.Equal(t, began, b.status(ref).Updated)
			require.False(t, b.status(ref).Since.IsZero())
			require.Equal(t, 1.0, b.metric(t, "mailroom_secret_failing", ref))

			require.NoError(t, os.RemoveAll(path))
			replace(t, path, "good")
			b.fails(t, ref, false)
			require.Equal(t, began, b.status(ref).Updated, "the text is the same")
			replace(t, path, "better")
			shows(t, s, "better")
			b.logged(t, "secret.failing", 1) // one line for each change of state
			b.logged(t, "secret.recovered", 1)
			require.NotContains(t, b.logs.String(), "good")
			require.Zero(t, b.metric(t, "mailroom_secret_failing", ref))
			require.InDelta(t, time.Now().Unix(), b.metric(t, "mailroom_secret_updated_timestamp_seconds", ref), 60)
		})
	}
}

// Readers see one of the texts whole, whatever happens at the same time.
func TestReadersWhileFilesChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	swap := mount(t, dir, "token")
	text := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 4096) }
	swap("..0", text(0))
	b := setup(t, options{FilePoll: time.Millisecond})
	ref := "file:" + filepath.Join(dir, "token")
	s := b.resolve(t, ref)
	b.watch(t)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	torn := make(chan string, 4)
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := s.Reveal(); got != strings.Repeat(got[:1], 4096) {
					torn <- got
					return
				}
				b.Status()
			}
		})
	}
	for i := 1; i <= 30; i++ {
		swap(fmt.Sprint("..", i), text(i))
	}
	shows(t, s, text(30))
	close(stop)
	readers.Wait()
	require.Empty(t, torn)
}

func TestExpectedSecretAppears(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "previous")
	ref := "file:" + path
	b := setup(t, options{})
	s, there, err := b.Expect(t.Context(), ref)
	require.NoError(t, err)
	require.False(t, there)
	require.Len(t, s.Reveal(), 53, "it cannot be guessed")
	again, _, err := b.Expect(t.Context(), ref)
	require.NoError(t, err)
	require.True(t, s == again)
	other, _, err := b.Expect(t.Context(), ref+"2")
	require.NoError(t, err)
	require.NotEqual(t, s.Reveal(), other.Reveal())
	_, err = b.Resolve(t.Context(), ref)
	require.ErrorIs(t, err, ErrNothing, "the caller that needs it gets the error")
	require.True(t, b.status(ref).Updated.IsZero())
	require.Equal(t, -1.0, b.metric(t, "mailroom_secret_updated_timestamp_seconds", ref))

	b.watch(t)
	write(t, path, "now")
	shows(t, s, "now")
	require.False(t, b.status(ref).Failing)
	require.False(t, b.status(ref).Updated.IsZero())
	require.Zero(t, b.logs.count("secret.failing"), "an expected secret that is absent is no failure")
	s, there, err = b.Expect(t.Context(), ref)
	require.NoError(t, err)
	require.True(t, there)
	require.Equal(t, "now", s.Reveal())
	require.NoError(t, os.Remove(path))
	b.fails(t, ref, true)
	require.Equal(t, "now", s.Reveal())
}

func TestWatchRunsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, b.Watch(ctx))
	require.ErrorContains(t, b.Watch(ctx), "already")
}
