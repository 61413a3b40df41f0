package stack

import "mailroom/deploy/dev/process"

// addresses are where the parts of a stack are, for people and for clients.
type addresses struct {
	ports Ports
	token string // of the operator that mailctl acts as
}

// IngressURL returns where providers post, without a path.
func (a addresses) IngressURL() string { return "http://" + process.Loopback(a.ports.Ingress) }

// OperatorURL returns where the operator API is, without a path.
func (a addresses) OperatorURL() string { return "http://" + process.Loopback(a.ports.Operator) }

// TemporalUI returns where Temporal's Web UI is, without a path.
func (a addresses) TemporalUI() string { return "http://" + process.Loopback(a.ports.TemporalUI) }

// VersityURL returns where the object store of devstack is.
func (a addresses) VersityURL() string { return "http://" + process.Loopback(a.ports.Versity) }

// S3Console returns where MinIO's console is.
func (a addresses) S3Console() string { return "http://" + process.Loopback(a.ports.S3Console) }

// SinkURL returns where the sample destination is, without a path.
func (a addresses) SinkURL() string { return "http://" + process.Loopback(a.ports.Sink) }

// MetricsURL returns where the metrics of the ingress or the worker are.
func (a addresses) MetricsURL(program string) string {
	port := a.ports.IngressMetrics
	if program == Worker {
		port = a.ports.WorkerMetrics
	}
	return "http://" + process.Loopback(port) + "/metrics"
}

// ClientVars returns the variables by which mailctl finds this stack.
func (a addresses) ClientVars() Vars {
	return Vars{
		"MAILROOM_URL": a.IngressURL() + "/webhooks/email", "MAILROOM_API": a.OperatorURL(), "MAILROOM_TOKEN": a.token,
	}
}
