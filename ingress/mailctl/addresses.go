package mailctl

import (
	netmail "net/mail"
	"strings"

	"mailroom/shared/address"
)

// nullSender is the sender of a bounce (RFC 5321 §4.5.5).
const nullSender = "<>"

// parseAddresses reads the values of a flag of addresses. Each value is one address or a
// list with commas, with or without names; a comma inside quotes separates nothing.
func parseAddresses(flag string, texts []string) ([]addressA, error) {
	var out []addressA
	for _, text := range texts {
		list, err := netmail.ParseAddressList(text)
		if err != nil {
			return nil, usagef("--%s: %s is no address, nor a list of them with commas: %s", flag, text, reasonOf(err))
		}
		for _, a := range list {
			quoted := address.Bare((&netmail.Address{Address: a.Address}).String()) // net/mail drops quotes
			if !address.Deliverable(quoted) {
				return nil, usagef("--%s: %s has no valid domain", flag, quoted)
			}
			out = append(out, addressA{Address: quoted, Name: a.Name})
		}
	}
	return out, nil
}

// parseSender reads --from, which is one address, or <> for the sender of a bounce.
func parseSender(text string) (addressA, error) {
	if strings.TrimSpace(text) == nullSender {
		return addressA{Address: nullSender}, nil
	}
	list, err := parseAddresses("from", []string{text})
	if err != nil {
		return addressA{}, err
	}
	if len(list) != 1 {
		return addressA{}, usagef("--from: give one address")
	}
	return list[0], nil
}

// reasonOf returns what net/mail says without its prefix.
func reasonOf(err error) string { return strings.TrimPrefix(err.Error(), "mail: ") }
