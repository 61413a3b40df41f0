package auditchain

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"mailroom/shared/contract"
)

// maxDepth bounds how deep JSON may be nested.
const maxDepth = 32

// canonical returns JSON in the one form of RFC 8785 that it has: members in the
// order of their names, no blanks, no escape that is not needed. Names are ASCII
// and numbers whole, as in everything this package writes; other JSON is an error,
// and so is a name that stands twice: two readers could see two things in it.
func canonical(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	out, err := appendValue(nil, dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows its end")
	}
	return out, nil
}

func appendValue(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}

	if depth > maxDepth {
		return nil, errors.New("it is nested too deep")
	}

	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return appendObject(out, dec, depth)
		}
		return appendArray(out, dec, depth)
	case string:
		return appendString(out, v), nil
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != v.String() || n > 1<<53 || n < -1<<53 {
			return nil, fmt.Errorf("the number %s is none that it is written with", v)
		}
		return append(out, v.String()...), nil
	case bool:
		return strconv.AppendBool(out, v), nil
	default:
		return append(out, "null"...), nil
	}
}

func appendArray(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	out = append(out, '[')
	for first := true; dec.More(); first = false {
		if !first {
			out = append(out, ',')
		}
		var err error
		if out, err = appendValue(out, dec, depth+1); err != nil {
			return nil, err
		}
	}
	return closed(out, dec, ']')
}

func appendObject(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	members := map[string][]byte{}
	var names []string

	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("it is no JSON: %w", err)
		}
		name, _ := token.(string)
		for i := range len(name) {
			if name[i] >= utf8.RuneSelf {
				return nil, errors.New("a member's name is not ASCII")
			}
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("the member %q stands twice", name)
		}
		if members[name], err = appendValue(nil, dec, depth+1); err != nil {
			return nil, err
		}
		names = append(names, name)
	}

	slices.Sort(names)
	out = append(out, '{')

	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(appendString(out, name), ':'), members[name]...)
	}

	return closed(out, dec, '}')
}

// closed reads the end of an array or object.
func closed(out []byte, dec *json.Decoder, end byte) ([]byte, error) {
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	return append(out, end), nil
}

// appendString writes a string as RFC 8785 §3.2.2.2 has it.
func appendString(out []byte, s string) []byte {
	const short = "\b\t\n\f\r\"\\"
	const letters = "btnfr\"\\"
	out = append(out, '"')
	for i := range len(s) {
		c := s[i]
		if at := bytes.IndexByte([]byte(short), c); at >= 0 {
			out = append(out, '\\', letters[at])
			continue
		}
		if c < ' ' {
			out = fmt.Appendf(out, `\u%04x`, c)
			continue
		}
		out = append(out, c)
	}
	return append(out, '"')
}

// digest is the SHA-256 of v in its canonical form.
func digest(v any) (contract.Digest, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return contract.Digest{}, fmt.Errorf("encode: %w", err)
	}
	return digestText(text)
}

func digestText(text []byte) (contract.Digest, error) {
	form, err := canonical(text)
	if err != nil {
		return contract.Digest{}, err
	}
	return sha256.Sum256(form), nil
}
