package payload

import (
	netmail "net/mail"
	"strings"

	"github.com/go-faster/jx"

	"mailroom/shared/mail"
)

// addressReader reads addresses and lists of them, in every form that providers use.
type addressReader struct {
	values
}

// address reads the bare address from a text of at most MaxAddress bytes.
func (r *addressReader) address(to *string) error {
	if null, err := r.null(); null || err != nil {
		return err
	}
	if r.d.Next() != jx.String {
		return r.mismatch("a string")
	}
	b, ok, err := r.bounded(MaxAddress)
	if err != nil {
		return err
	}
	if !ok {
		r.tooLong()
		return nil
	}
	*to = parseAddress(string(b)).Address
	return nil
}

// tooLong reports an address of more than MaxAddress bytes.
func (r *addressReader) tooLong() { r.wrong("must be at most %s bytes", thousands(MaxAddress)) }

// recipients reads a list of addresses as texts. A single text instead of the list is
// accepted as its only element, and is a breach.
func (r *addressReader) recipients(to *[]string) error {
	one := func() error {
		var a string
		if err := r.address(&a); err != nil {
			return err
		}
		if a != "" {
			*to = append(*to, a)
		}
		return nil
	}
	if r.d.Next() == jx.String {
		r.wrong("must be an array")
		return one()
	}
	return r.list(MaxRecipients, one)
}

// addressList reads a list whose elements are strings or {address, name}. A single
// element instead of the list is accepted as its only one, and is a breach.
func (r *addressReader) addressList(to *[]mail.Address) error {
	if next := r.d.Next(); next == jx.String || next == jx.Object {
		r.wrong("must be an array")
		return r.oneAddress(to)
	}
	return r.list(MaxRecipients, func() error { return r.oneAddress(to) })
}

// oneAddress appends an address that is a string or {address, name}. One without an
// address has only a name, which matters only to Decode.
func (r *addressReader) oneAddress(to *[]mail.Address) error {
	var a mail.Address
	switch r.d.Next() {
	case jx.Null:
		_, err := r.null()
		return err
	case jx.String:
		b, ok, err := r.bounded(MaxAddress)
		if err != nil {
			return err
		}
		if !ok {
			r.tooLong()
			return nil
		}
		a = parseAddress(string(b))
	case jx.Object:
		if err := r.addressObject(&a); err != nil {
			return err
		}
	default:
		return r.mismatch("an object or a string")
	}

	if a.Address != "" || a.Name != "" && r.keep {
		*to = append(*to, a)
	}

	return nil
}

func (r *addressReader) addressObject(a *mail.Address) error {
	there := false
	err := r.object(func(name string) error {
		switch name {
		case "address":
			there = r.d.Next() != jx.Null
			return r.address(&a.Address)
		case "name":
			return r.string(&a.Name)
		default:
			return r.unknownField()
		}
	})
	if err == nil && !there {
		r.wrongAt(".address", "is missing")
	}
	return err
}

// parseAddress parses "Name <address>"; any other text is an address.
func parseAddress(text string) mail.Address {
	text = strings.TrimSpace(clean(text))
	open := strings.LastIndexByte(text, '<')
	if open < 0 {
		return mail.Address{Address: text}
	}
	if a, err := netmail.ParseAddress(text); err == nil {
		return mail.Address{Name: clean(a.Name), Address: clean(a.Address)}
	}
	address, _, _ := strings.Cut(text[open+1:], ">")
	return mail.Address{Name: strings.Trim(text[:open], "\" \t"), Address: strings.TrimSpace(address)}
}
