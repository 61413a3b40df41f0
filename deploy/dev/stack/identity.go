package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Identity tells one run of a program from every other that may get its process
// id later. Started is opaque and only compared.
type Identity struct {
	PID     int    `json:"pid"`
	Started string `json:"started"`
}

// identify gives the identity of the living program with this id. One that has
// ended and only waits to be collected does not live.
func identify(pid int) (Identity, bool) {
	if pid <= 0 {
		return Identity{}, false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	switch {
	case err == nil:
		started, alive := parseStat(string(stat))
		boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
		return Identity{pid, strings.TrimSpace(string(boot)) + "/" + started}, alive
	case dirExists("/proc/self"):
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

// alive reports whether this very run still runs.
func (i Identity) alive() bool {
	now, alive := identify(i.PID)
	return alive && now == i
}

// signal sends sig, unless that run has ended.
func (i Identity) signal(sig syscall.Signal) error {
	if !i.alive() {
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

// listener names the program that listens on a TCP port, as "name (pid n)", where
// the system lets us see it.
func listener(port int) (string, bool) {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table) //nolint:gosec // two fixed names
		if err != nil {
			continue
		}
		for _, inode := range listening(string(text), port) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	if len(inodes) == 0 {
		return "", false
	}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range descriptors {
		if target, err := os.Readlink(fd); err == nil && inodes[target] {
			pid := strings.Split(fd, "/")[2]
			name, _ := os.ReadFile(filepath.Join("/proc", pid, "comm")) //nolint:gosec // below /proc
			return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), pid), true
		}
	}
	return "", false
}

// listening gives the inodes of the sockets that listen on port, from the text of
// /proc/net/tcp: local address in the second column, state in the fourth (0A is
// LISTEN), inode in the tenth.
func listening(table string, port int) []string {
	var inodes []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}

func dirExists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func fileExists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func bareContext() context.Context { return context.Background() }
