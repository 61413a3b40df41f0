package ingress

import (
	"mailroom/ingress/operator/operations"
	"mailroom/shared/config"
	"mailroom/shared/excerpt"
)

// newDesks makes what answers about destinations, routes and the overview.
func newDesks(file *config.File, d dependencies, measured operations.Acks) (*operations.Service, error) {
	return operations.New(
		operations.Config{Destinations: file.Destinations, Routes: file.Routes, Tenants: file.Tenants},
		operations.Deps{Ledger: d.reader, Messages: excerpt.NewReader(d.bodies, excerpt.Usual), Acks: measured})
}
