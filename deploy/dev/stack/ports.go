package stack

import "mailroom/deploy/dev/process"

// Ports are the loopback ports of a stack.
type Ports struct {
	Ingress, Operator, IngressMetrics, WorkerMetrics int
	Temporal, TemporalUI                             int
	S3, S3Console                                    int // of MinIO
	Versity                                          int // in development the same as S3: one of both runs
	Postgres, Clamd, Sink                            int
}

// DevPorts are the ports of development, on which the documentation counts.
func DevPorts() Ports {
	return Ports{
		Ingress: 8080, Operator: 8081, IngressMetrics: 9464, WorkerMetrics: 9465,
		Temporal: 7233, TemporalUI: 8233,
		S3: 9000, S3Console: 9001, Versity: 9000,
		Postgres: 5433, Clamd: 3310, Sink: 8090,
	}
}

func (p *Ports) each() []*int {
	return []*int{
		&p.Ingress, &p.Operator, &p.IngressMetrics, &p.WorkerMetrics, &p.Temporal, &p.TemporalUI,
		&p.S3, &p.S3Console, &p.Versity, &p.Postgres, &p.Clamd, &p.Sink,
	}
}

// FreePorts draws ports on which no process listens, and none twice in one process.
func FreePorts() (Ports, error) {
	var p Ports
	fields := p.each()
	ports, err := process.FreePorts(len(fields))
	if err != nil {
		return Ports{}, err
	}
	for i, field := range fields {
		*field = ports[i]
	}
	return p, nil
}
