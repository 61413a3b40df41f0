package e2e_test

import (
	"flag"
	"os"
	"testing"

	"mailroom/deploy/dev/browser"
)

// TestMain lets more tests run at the same time than there are processors, since most of the
// time they wait for what their programs do, and keeps one Chromium for all of them.
func TestMain(m *testing.M) {
	flag.Parse()
	parallel := flag.Lookup("test.parallel")
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f == parallel })
	if !set {
		_ = parallel.Value.Set("4")
	}

	release := browser.Hold()
	code := m.Run()
	release()
	os.Exit(code)
}
