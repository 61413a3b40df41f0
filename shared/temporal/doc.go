// Package temporal is the adapter of Temporal's client: the options of every connection,
// the codec that encrypts payloads, and the calls of ingress and worker that start,
// describe and control workflows.
//
// Invariants: connections are configured by the TEMPORAL_* variables and the
// configuration file of the temporal command line, and by nothing else. With keys,
// Temporal receives unencrypted only ids, names of workflows, activities, signals and
// the like, types of errors, and search attributes. Errors are faults.
//
// Read next: email.go (how an email is started), decider.go (how a decision reaches
// its workflow), codec.go.
package temporal
