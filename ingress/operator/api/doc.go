// Package api is the API of the operator listener: list and read emails, download their
// raw bytes, decide what happens to them, start replays, and read sources, destinations,
// routes, tokens and the audit chain. There is one file for each resource; api.go has the
// table of routes.
//
// Invariants:
//   - A route names the least role that may use it, and a test calls every route with
//     every role.
//   - Who decided comes from the token and never from the request.
//   - Mail content leaves only as a download that no browser renders, and content that
//     inspection did not find clean only for the operator role.
//   - Secrets of sources show as references alone.
//   - Answers are JSON; errors are {"ok":false,"error":"<code>","message":"<sentence>"}.
package api
