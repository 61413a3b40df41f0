// Package rules routes mail by the rules of the configuration file, which New compiles.
//
// Invariants: a routing is a pure function of the rules and the facts; matching takes
// time linear in the pattern and the text, whatever the mail contains; only recipients
// in the tenant's own domains count, unless there are none and a person approved that;
// no result names a destination that does not serve the tenant of the mail.
//
// Patterns match the whole text; * stands for any run of characters, also an empty one,
// and no other character is special. Patterns are case-insensitive, except for local
// parts of recipients if the tenant's are case-sensitive. Domains are compared label by
// label, in either form of an internationalised name. The pattern of a recipient matches
// sub-addresses (RFC 5233): "support@*" matches support+urgent@yourapp.example, while
// one with a plus, "support+vip@*", is compared with the whole local part.
//
// Read next: facts.go (what a rule sees), rules.go (Match), route.go (Decide);
// deploy/docs/rules.md is the guide for users.
package rules
