package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bytes is a size in bytes. In YAML it is a whole number, alone or with a unit:
// KiB, MiB and GiB are powers of 1024, kB (or KB), MB and GB powers of 1000.
type Bytes int64

// units are tried in order, so that KiB is found before B.
var units = []struct {
	suffix string
	factor Bytes
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
	{"B", 1},
}

// ParseBytes reads a size such as "25MiB" or "65536". Signs, fractions and sizes
// above 63 bits are refused.
func ParseBytes(text string) (Bytes, error) {
	number, factor := text, Bytes(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			number, factor = strings.TrimSuffix(rest, " "), u.factor
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if errors.Is(err, strconv.ErrRange) || Bytes(n) > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q is larger than 63 bits hold", text)
	}
	if err != nil || strings.ContainsAny(number, "+-") {
		return 0, fmt.Errorf("%q is not a size such as 65536, 64KiB or 25MiB", text)
	}
	return Bytes(n) * factor, nil
}

// String returns the size in the largest binary unit that divides it.
func (b Bytes) String() string {
	for _, u := range []int{2, 1, 0} {
		if b != 0 && b%units[u].factor == 0 {
			return strconv.FormatInt(int64(b/units[u].factor), 10) + units[u].suffix
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// UnmarshalYAML reads a scalar as ParseBytes does; the error names the line.
func (b *Bytes) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		return mistyped(node, "a size is a number of bytes, such as 25MiB")
	}
	n, err := ParseBytes(node.Value)
	if err != nil {
		return mistyped(node, err.Error())
	}
	*b = n
	return nil
}

// mistyped returns an error after which the decoder continues with the rest.
func mistyped(node *yaml.Node, text string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", node.Line, text)}}
}
