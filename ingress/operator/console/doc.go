// Package console is the web pages of the operator listener: the inbox of held
// mail, search, one email with its timeline, decisions, replays, destinations, routes,
// the audit chain and an overview. There is one file, and one type of handlers, for each
// area; console.go has the table of routes, deps.go what the pages need from the services.
//
// Invariants:
//   - Pages are rendered on the server and work without JavaScript. A GET changes nothing.
//   - A page shows only tenants in which the caller has a role; anything else is not found.
//   - No page has an inline script or style. Mail reaches a browser only as escaped text,
//     as a download, or as cleaned HTML that loads nothing, in a frame that may do nothing.
//   - A decision needs a confirmation, and applies only to the hold that the person saw.
package console
