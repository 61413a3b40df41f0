package process

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// The range that FreePorts draws from lies below the ports that systems use for outgoing
// connections, so that no connection takes one between the draw and its use.
const (
	firstFree = 20000
	lastFree  = 31999
)

// drawn are the ports that this process has returned: the caller may not listen on them
// yet, or not at this moment.
var drawn = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePorts draws n ports on which no process listens, and none twice in one process.
func FreePorts(n int) ([]int, error) {
	drawn.Lock()
	defer drawn.Unlock()
	var ports []int
	for range 1000 * n {
		port := firstFree + rand.IntN(lastFree-firstFree+1) //nolint:gosec // not a secret
		if drawn.ports[port] || !portFree(port) {
			continue
		}
		drawn.ports[port] = true
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no free port between %d and %d on 127.0.0.1", firstFree, lastFree)
}

// Loopback returns the address of a port on loopback.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func portFree(port int) bool {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", Loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// CheckPorts returns an error that names every port of the services on which another
// process listens.
func CheckPorts(services []Service) error {
	var taken []string
	for _, s := range services {
		for _, port := range s.Ports {
			if portFree(port) {
				continue
			}
			line := fmt.Sprintf("port %d (%s) is in use", port, s.Name)
			if process, found := listener(port); found {
				line += " by " + process
			}
			taken = append(taken, line)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return errors.New(strings.Join(taken, ", ") + ": stop what listens there and try again")
}

// listener returns the process that listens on a TCP port, as "name (pid n)", where the
// system shows it.
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

// listening returns the inodes of the sockets that listen on port, from the text of
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
