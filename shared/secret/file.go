package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// After an event files are read once it has been quiet for settle, at latest
// after unsettled: who writes a file makes several events.
const (
	settle    = 50 * time.Millisecond
	unsettled = 500 * time.Millisecond
)

// readFile gives what a file holds. A pipe or a device, which could be read only
// once or would never end, is refused.
func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", noFile(path)
	case err != nil:
		return "", fmt.Errorf("look at it: %w", err)
	case !info.Mode().IsRegular():
		return "", errors.New("it is not a regular file")
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) {
		return "", noFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("open it: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return "", fmt.Errorf("read it: %w", err)
	}
	if len(text) > maxText {
		return string(text), nil // the caller refuses it
	}
	return trimmed(string(text))
}

// noFile says that a file is not there. Where its directory is not there either, as
// before a volume is mounted, that tells nothing of the file.
func noFile(path string) error {
	const why = "there is no such file"
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nothing(why)
	}
	return gone(why)
}

// watchFiles reads files again when something happens in their directories, and
// from time to time in any case. It watches directories, because files are
// replaced: by a rename, or by the symbolic link ..data of Kubernetes.
func (s *Store) watchFiles(ctx context.Context) {
	poll := time.NewTicker(s.every[schemeFile])
	defer poll.Stop()
	w := &directories{store: s}
	defer w.close()
	for {
		cells := s.joined(schemeFile)
		w.add(cells)
		for _, c := range cells {
			s.refresh(ctx, c)
		}
		if !w.wait(ctx, poll.C) {
			return
		}
	}
}

// directories hears of changes through the kernel, or of none where the kernel
// cannot tell; then the poll is what remains.
type directories struct {
	store   *Store
	watcher *fsnotify.Watcher
	told    bool
}

// add listens to the directories of the files. Those that are listened to
// already are added again, for the path may lead elsewhere by now.
func (d *directories) add(cells []*cell) {
	if len(cells) == 0 {
		return
	}
	if d.watcher == nil {
		watcher, err := fsnotify.NewWatcher()
		if err != nil {
			if !d.told {
				d.store.logger.Warn("secret.unwatched", "poll", d.store.every[schemeFile], "error", err)
			}
			d.told = true
			return
		}
		d.watcher = watcher
	}
	added := map[string]bool{}
	for _, c := range cells {
		dir := filepath.Dir(c.at.name)
		if !added[dir] {
			added[dir] = true
			_ = d.watcher.Add(dir) // absent ones are added when they are there
		}
	}
}

// wait returns when files are to be read, false when it is over.
func (d *directories) wait(ctx context.Context, poll <-chan time.Time) bool {
	var events chan fsnotify.Event
	var lost chan error
	if d.watcher != nil {
		events, lost = d.watcher.Events, d.watcher.Errors
	}
	select {
	case <-ctx.Done():
		return false
	case <-poll:
		return true
	case <-d.store.filesAdded:
		return true
	case err := <-lost: // such as too many events at once
		d.store.logger.Debug("secret.watch", "error", err)
		return true
	case <-events:
	}
	quiet, latest := time.NewTimer(settle), time.NewTimer(unsettled)
	defer quiet.Stop()
	defer latest.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-latest.C:
			return true
		case <-quiet.C:
			return true
		case <-events:
			quiet.Reset(settle)
		}
	}
}

func (d *directories) close() {
	if d.watcher != nil {
		_ = d.watcher.Close()
	}
}
