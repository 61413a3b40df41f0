// Command bench measures Mailroom side by side with what it is built on, in one
// run on one machine: a workflow that does nothing and one with five regular
// activities on the same Temporal server, then emails end to end, the ingress under
// a burst and under a steady stream, the memory of ingress and worker, and how long
// operators wait.
//
// Invariants: the servers are the production ones on durable settings (Temporal
// on PostgreSQL, both syncing to disk); rates that are compared are measured in
// turn, several rounds of each, and the median counts; after the run every email
// must have been delivered exactly once, or the run fails.
package main
