// Package operator is the operator listener: the API, the console, the codec server of
// Temporal and the login, on one table of routes.
//
// To follow a decision, read next: api/decisions.go or console/decide.go, where a request
// arrives; decision/decision.go, which checks it and writes it down; shared/temporal's
// Decider, which sends it to the email's workflow. Replays and decisions about many emails
// go through package batch, destinations, routes and the overview through package operations.
package operator
