package ledger

import "time"

// WorkerReport is what /readyz of one worker said when the worker last wrote it.
type WorkerReport struct {
	Worker    string
	Checks    map[string]string // by dependency: CheckOK or CheckUnavailable
	UpdatedAt time.Time
	// Fresh is false for a worker that has not written for a while: it has ended, or
	// cannot reach the ledger.
	Fresh bool
}

// What /readyz says of a dependency.
const (
	CheckOK          = "ok"
	CheckUnavailable = "unavailable"
)

// Alert is something that needs a person's attention now.
type Alert struct {
	Kind AlertKind `json:"kind"`
	// Name is the dependency or the destination; empty where the alert is about all.
	Name string `json:"name"`
	Text string `json:"text"` // one sentence or two
	// Help is the page of the manual that says what to do, with its section; the console
	// has it under /help.
	Help string `json:"help"`
}

// AlertKind says what an alert is about.
type AlertKind string

// The kinds, in the order in which alerts are shown.
const (
	AlertIngress     AlertKind = "ingress"     // its /readyz is not ready
	AlertWorker      AlertKind = "worker"      // none runs, or the /readyz of one is not ready
	AlertDestination AlertKind = "destination" // it is down, gone, or paused while mail waits
)
