package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"mailroom/deploy/dev/process"
)

// buildGrace is how long an interrupted go command may take to remove its temporary files.
const buildGrace = 5 * time.Second

// goBuild is one call of go build, without a C compiler.
type goBuild struct {
	what     string   // for people
	dir      string   // of the module
	out      string   // -o
	flags    []string // further ones, such as -tags
	packages []string
}

// run builds, shows the progress on the console meanwhile, and says there how long it took.
// What an interrupted or failed build has downloaded and compiled is there for the next one.
func (b goBuild) run(ctx context.Context, console *process.Console) error {
	p := &progress{goBuild: b, began: time.Now(), packages: map[string]bool{}}
	awaited := b.what
	if awaited == Devstack { // what people wait for
		awaited = "Temporal"
	}
	defer console.AwaitText(func() string { return awaited + ": " + p.String() })()

	cmd := b.command(ctx, "build", append([]string{"-v", "-o", b.out}, b.flags...)...)
	said, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return errors.New("the go command is not on PATH: install Go from https://go.dev/dl")
		}
		return fmt.Errorf("go build: %w", err)
	}

	counting, stop := context.WithCancel(ctx)
	p.read(counting, said)
	err = cmd.Wait()
	stop()
	p.counting.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && len(p.failures) > 0:
		return fmt.Errorf("go build: %s", strings.Join(p.failures, "\n"))
	case err != nil:
		return fmt.Errorf("go build: %w", err)
	}
	console.Say("%-11s built %5.1f s  %s", b.what, time.Since(p.began).Seconds(), p.summary())
	return nil
}

// download fetches the modules of the packages, while something else has the processors. What
// it cannot fetch, the build tries again and reports.
func (b goBuild) download(ctx context.Context) {
	_ = b.command(ctx, "list", append([]string{"-deps"}, b.flags...)...).Run()
}

// command returns a call of the go command about the packages. When ctx ends it is
// interrupted, so that it removes its temporary files.
func (b goBuild) command(ctx context.Context, verb string, flags ...string) *exec.Cmd {
	args := slices.Concat([]string{verb, "-trimpath", "-buildvcs=false"}, flags, b.packages)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // fixed program, our own packages
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = buildGrace
	return cmd
}

// progress is how far a build is. With -v, go build writes the import path of each package
// that it begins to compile, and no path of a package that is up to date.
type progress struct {
	goBuild

	began    time.Time
	counting sync.WaitGroup

	mu         sync.Mutex
	downloads  int
	downloaded time.Time       // when the first package began to compile
	compiled   int             // packages that were begun
	packages   map[string]bool // that were begun or are to do
	counted    bool            // packages is complete
	failures   []string        // what is neither a download nor a package
}

// read reads what go build writes until its end.
func (p *progress) read(ctx context.Context, said io.Reader) {
	lines := bufio.NewScanner(said)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if p.add(lines.Text()) {
			p.counting.Go(func() { p.count(ctx) })
		}
	}
	_, _ = io.Copy(io.Discard, said)
}

// add records one line and reports whether it names the first package.
func (p *progress) add(line string) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		p.downloads++
	case isPackage(line):
		first = p.compiled == 0
		if first {
			p.downloaded = time.Now()
		}
		p.compiled++
		p.packages[line] = true
	case strings.TrimSpace(line) != "":
		p.failures = append(p.failures, line)
	}
	return first
}

// isPackage reports whether a line of go build is an import path alone, which may end in .go
// as a file does. What a compiler says of a file has a colon.
func isPackage(line string) bool {
	return line != "" && !strings.ContainsAny(line, " \t:#")
}

// count asks which packages are not up to date. The build goes on meanwhile: what it has
// compiled by then is in packages already, so that together they are all.
func (p *progress) count(ctx context.Context) {
	const stale = `{{if and .Stale (ne .Name "main")}}{{.ImportPath}}{{end}}`
	out, err := p.command(ctx, "list", append([]string{"-deps", "-f", stale}, p.flags...)...).Output()
	if err != nil {
		return // no percentage then
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range strings.FieldsSeq(string(out)) {
		p.packages[name] = true
	}
	p.counted = true
}

// String returns how far the build is. The package that was begun last is not done.
func (p *progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	done, all := max(0, p.compiled-1), len(p.packages)
	switch {
	case p.compiled == 0 && p.downloads > 0:
		return fmt.Sprintf("downloading modules, %d so far", p.downloads)
	case p.compiled == 0:
		return "building"
	case !p.counted:
		return fmt.Sprintf("building, %d packages so far", done)
	case p.compiled >= all:
		return "building, 99 % (linking)"
	}
	return fmt.Sprintf("building, %d %% (%d of %d packages)", 100*done/all, done, all)
}

// summary returns what the build consisted of.
func (p *progress) summary() string {
	text := fmt.Sprintf("(%d packages compiled", p.compiled)
	if p.downloads > 0 && !p.downloaded.IsZero() {
		text += fmt.Sprintf("; before, %d modules downloaded in %.1f s", p.downloads, p.downloaded.Sub(p.began).Seconds())
	}
	return text + ")"
}
