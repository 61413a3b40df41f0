package e2e_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run at the same time than there are processors: most of the
// time they wait for what their programs do.
func TestMain(m *testing.M) {
	flag.Parse()
	parallel := flag.Lookup("test.parallel")
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f == parallel })
	if !set {
		_ = parallel.Value.Set("4")
	}
	os.Exit(m.Run())
}
