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

// Writing one file causes several events: files are read once there was none for
// quietTime, at latest after maxDelay.
const (
	quietTime = 50 * time.Millisecond
	maxDelay  = 500 * time.Millisecond
)

// readFile returns the content of a file. It refuses a pipe or a device, which can be
// read only once or never ends.
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

// noFile returns the error for a file that does not exist. If its directory does not
// exist either, as before a volume is mounted, the file does not count as gone.
func noFile(path string) error {
	const why = "there is no such file"
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nothing(why)
	}
	return gone(why)
}

// watchFiles reads files again after an event in their directories, and at each poll. It
// watches directories because files are replaced: by a rename, or by the symbolic link
// ..data of Kubernetes.
func (s *Store) watchFiles(ctx context.Context) {
	poll := time.NewTicker(s.every[schemeFile])
	defer poll.Stop()
	w := &directories{store: s}
	defer w.close()

	for {
		cells := s.watched(schemeFile)
		w.add(cells)
		for _, c := range cells {
			s.refresh(ctx, c)
		}
		if !w.wait(ctx, poll.C) {
			return
		}
	}
}

// directories receives the kernel's events about files. If the kernel offers none, only
// the poll remains.
type directories struct {
	store   *Store
	watcher *fsnotify.Watcher
	logged  bool // that there are no events
}

// add watches the directories of the files. It adds known ones again, because a path may
// lead to another directory by now.
func (d *directories) add(cells []*cell) {
	if len(cells) == 0 {
		return
	}
	if d.watcher == nil {
		watcher, err := fsnotify.NewWatcher()
		if err != nil {
			if !d.logged {
				d.store.logger.Warn("secret.unwatched", "poll", d.store.every[schemeFile], "error", err)
			}
			d.logged = true
			return
		}
		d.watcher = watcher
	}

	added := map[string]bool{}
	for _, c := range cells {
		dir := filepath.Dir(c.at.name)
		if !added[dir] {
			added[dir] = true
			_ = d.watcher.Add(dir) // fails for one that does not exist yet; the next poll adds it
		}
	}
}

// wait returns true when the files have to be read again, false when ctx is done.
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

	quiet, latest := time.NewTimer(quietTime), time.NewTimer(maxDelay)
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
			quiet.Reset(quietTime)
		}
	}
}

func (d *directories) close() {
	if d.watcher != nil {
		_ = d.watcher.Close()
	}
}
