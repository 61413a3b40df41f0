// Package api is the API for the people who look after held mail: list and
// read emails, fetch their raw bytes, decide what happens to them.
//
// Invariants: every path asks for a bearer token first, so that nothing can be
// learned without one; a route names the least role that may use it, and a test
// walks every route with every role; who decided comes from the token and never
// from the request; mail content leaves only as a download that no browser
// renders, and content that inspection did not find clean leaves only for the
// operator role; the secrets of sources show as references alone; answers are JSON, errors are
// {"ok":false,"error":"<code>","message":"<sentence>"}; log lines carry ids, codes
// and the token's name, never mail content, a query or a token.
package api
