// Package console is the web pages of the operator listener: the inbox of held
// mail, search, one email with its way, decisions, replays, destinations, routes
// and an overview.
//
// Invariants: pages are made on the server and do their essential work without
// JavaScript; a GET changes nothing; every page is for the tenants alone for which
// the caller has a role, and what is not theirs is not found; no page holds an
// inline script or style, and nothing of a mail reaches a browser but as escaped
// text, as a download or, its HTML, cleaned, without any link to be loaded, and in
// a frame that may do nothing; a decision is taken only after it was confirmed, and
// only about the hold that the person saw.
package console
