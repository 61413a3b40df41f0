package gotest

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// maxLine is the longest line of input. A test that writes one very long line becomes
// several events of it, so that events are much shorter.
const maxLine = 16 << 20

// event is one line of go test -json: see `go doc test2json` and `go help buildjson`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of what the compiler or linker says
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// duration is how long a test took, its subtests included.
type duration struct {
	pkg, test string
	seconds   float64
}

// Printer prints events of several runs of go test -json that may go on at the same
// time. It is safe for concurrent use. The output of a test is kept until it is known
// how the test ended.
type Printer struct {
	out     io.Writer
	verbose bool
	mu      sync.Mutex
	kept    map[string][]string // by package and test; by package alone what belongs to no test
	took    []duration
}

// NewPrinter returns a printer to out. verbose prints what tests write in any case, as
// go test -v does.
func NewPrinter(out io.Writer, verbose bool) *Printer {
	return &Printer{out: out, verbose: verbose, kept: map[string][]string{}}
}

// Print prints the events of one run until in ends.
func (p *Printer) Print(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		p.printLine(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the events of go test: %w", err)
	}
	return nil
}

func (p *Printer) printLine(line []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		p.write(string(line) + "\n")
		return
	}

	key := e.Package
	if e.Test != "" {
		key += " " + e.Test
	}
	switch e.Action {
	case "build-output":
		p.write(e.Output)
	case "output":
		p.keepOutput(key, e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			p.endPackage(e)
			return
		}
		p.took = append(p.took, duration{e.Package, e.Test, e.Elapsed})
		p.endTest(key, e.Action == "fail")
	}
}

// frames are the lines with which the test program marks what a test wrote.
var frames = [...]string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME "}

func (p *Printer) keepOutput(key, text string) {
	if p.verbose {
		p.write(text)
		return
	}
	for _, frame := range frames {
		if strings.HasPrefix(text, frame) {
			return
		}
	}
	p.kept[key] = append(p.kept[key], text)
}

func (p *Printer) endTest(key string, failed bool) {
	if failed {
		p.write(p.kept[key]...)
	}
	delete(p.kept, key)
}

// endPackage prints the last line of a package, such as "ok mailroom/shared/mime 1.2s",
// and where it failed all that was kept of it. A test that was running when its program
// ended has no end of its own: what it wrote is kept until here.
func (p *Printer) endPackage(e event) {
	var tests []string
	for key := range p.kept {
		if strings.HasPrefix(key, e.Package+" ") {
			tests = append(tests, key)
		}
	}
	slices.Sort(tests)
	for _, key := range tests {
		p.endTest(key, e.Action == "fail")
	}

	for _, line := range p.kept[e.Package] {
		if e.Action == "fail" || isSummary(line) {
			p.write(line)
		}
	}
	delete(p.kept, e.Package)
}

// isSummary reports whether a line of a package says how it ended.
func isSummary(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t")
}

// PrintSlowest prints the n tests that took longest. A test contains its subtests: of a
// test and its only long subtest, both are listed.
func (p *Printer) PrintSlowest(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortFunc(p.took, func(a, b duration) int {
		return cmp.Or(cmp.Compare(b.seconds, a.seconds), cmp.Compare(a.pkg+a.test, b.pkg+b.test))
	})
	p.took = p.took[:min(n, len(p.took))]
	if len(p.took) == 0 {
		return
	}

	p.write(fmt.Sprintf("The %d slowest tests:\n", len(p.took)))
	for _, d := range p.took {
		p.write(fmt.Sprintf("  %6.1f s  %s %s\n", d.seconds, d.pkg, d.test))
	}
}

func (p *Printer) write(texts ...string) {
	for _, text := range texts {
		_, _ = io.WriteString(p.out, text)
	}
}
