//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var reached atomic.Int64 // how often the place of this process has been reached

// Hit kills the process when name is the place that Variable says, at the last of
// as many times as it says.
func Hit(name Name) {
	place, times, counted := strings.Cut(os.Getenv(Variable), ":")
	if Name(place) != name {
		return
	}
	at := int64(1)
	if counted {
		n, err := strconv.ParseInt(times, 10, 64)
		if err != nil {
			panic(Variable + " must be name or name:times")
		}
		at = n
	}
	if reached.Add(1) < at {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}
