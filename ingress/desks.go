package ingress

import (
	"mailroom/ingress/operator/desks"
	"mailroom/shared/config"
	"mailroom/shared/excerpt"
)

// newDesks makes what answers about destinations, routes and the overview.
func newDesks(file *config.File, d dependencies, measured desks.Acks) (*desks.Desks, error) {
	return desks.New(
		desks.Config{Destinations: file.Destinations, Routes: file.Routes, Tenants: file.Tenants},
		desks.Deps{Ledger: d.reader, Messages: excerpt.NewReader(d.bodies, excerpt.Usual), Acks: measured})
}
