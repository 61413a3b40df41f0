package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Identity tells a process from every later one with the same process id. Started is
// opaque and only compared.
type Identity struct {
	PID     int    `json:"pid"`
	Started string `json:"started"`
}

// Identify returns the identity of the living process with this id. One that has ended and
// waits to be collected does not live.
func Identify(pid int) (Identity, bool) {
	if pid <= 0 {
		return Identity{}, false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	switch {
	case err == nil:
		started, alive := parseStat(string(stat))
		boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
		return Identity{pid, strings.TrimSpace(string(boot)) + "/" + started}, alive
	case exists("/proc/self"):
		return Identity{}, false
	}

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ps := exec.CommandContext(ctx, "ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)) //nolint:gosec // a number
	ps.Env = append(os.Environ(), "LC_ALL=C")
	out, err := ps.Output()
	if err != nil {
		return Identity{}, false
	}
	started, alive := parsePS(string(out))
	return Identity{pid, started}, alive
}

// Alive reports whether this very process still runs.
func (i Identity) Alive() bool {
	now, alive := Identify(i.PID)
	return alive && now == i
}

// Signal sends sig, unless the process has ended.
func (i Identity) Signal(sig syscall.Signal) error {
	if !i.Alive() {
		return nil
	}
	if err := syscall.Kill(i.PID, sig); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("signal %s to %d: %w", sig, i.PID, err)
	}
	return nil
}

// parseStat reads state and start time from proc(5) /proc/<pid>/stat. The second
// field is the program's name in brackets and may hold anything.
func parseStat(stat string) (started string, alive bool) {
	const stateField, startField = 0, 19 // counted after the name
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= startField {
		return "", false
	}
	state := fields[stateField]
	return fields[startField], state != "Z" && state != "X"
}

// parsePS reads what `ps -o stat=,lstart=` prints.
func parsePS(line string) (started string, alive bool) {
	state, started, found := strings.Cut(strings.TrimSpace(line), " ")
	return strings.Join(strings.Fields(started), " "), found && !strings.HasPrefix(state, "Z")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
