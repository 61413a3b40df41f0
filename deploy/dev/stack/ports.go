package stack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Ports are the loopback ports of a stack.
type Ports struct {
	Ingress, Operator, IngressMetrics, WorkerMetrics int
	Temporal, TemporalUI                             int
	S3, S3Console                                    int
	Postgres, Clamd, Sink                            int
}

// DevPorts are the ports of development, on which the documentation counts.
func DevPorts() Ports {
	return Ports{
		Ingress: 8080, Operator: 8081, IngressMetrics: 9464, WorkerMetrics: 9465,
		Temporal: 7233, TemporalUI: 8233,
		S3: 9000, S3Console: 9001,
		Postgres: 5433, Clamd: 3310, Sink: 8090,
	}
}

func (p *Ports) each() []*int {
	return []*int{
		&p.Ingress, &p.Operator, &p.IngressMetrics, &p.WorkerMetrics, &p.Temporal, &p.TemporalUI,
		&p.S3, &p.S3Console, &p.Postgres, &p.Clamd, &p.Sink,
	}
}

// The range FreePorts draws from lies below the ports that systems hand out to
// outgoing connections, so that nobody takes one between the draw and its use.
const (
	firstFree = 20000
	lastFree  = 31999
)

// drawn are the ports that this process has given out: who was given one may not
// listen yet, or not at this moment.
var drawn = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePorts draws ports on which nothing listens, and none twice in one process.
func FreePorts() (Ports, error) {
	drawn.Lock()
	defer drawn.Unlock()
	var p Ports
	for _, port := range p.each() {
		for range 1000 {
			n := firstFree + rand.IntN(lastFree-firstFree+1) //nolint:gosec // not a secret
			if !drawn.ports[n] && portFree(n) {
				drawn.ports[n], *port = true, n
				break
			}
		}
		if *port == 0 {
			return Ports{}, fmt.Errorf("no free port between %d and %d on 127.0.0.1", firstFree, lastFree)
		}
	}
	return p, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func portFree(port int) bool {
	l, err := (&net.ListenConfig{}).Listen(bareContext(), "tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// checkPorts names every port of the services on which something else listens.
func checkPorts(services []*service) error {
	var taken []string
	for _, s := range services {
		for _, port := range s.ports {
			if portFree(port) {
				continue
			}
			line := fmt.Sprintf("port %d (%s) is in use", port, s.name)
			if who, found := listener(port); found {
				line += " by " + who
			}
			taken = append(taken, line)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return errors.New(strings.Join(taken, ", ") + ": stop what listens there and try again")
}
