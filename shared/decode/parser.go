package decode

import (
	"fmt"
	"runtime/debug"
)

// behaviour counts the ways in which this package and those behind it have read
// mail. A change of what is made of the same body counts it up.
const behaviour = 3

// library is what converts character sets, whose version is part of the parser's name.
const library = "golang.org/x/text"

// Parser names what Decode is, such as "mailroom/3 text v0.43.0": mail that was
// read by parsers of the same name was read in the same way.
func Parser() string {
	name := fmt.Sprintf("mailroom/%d", behaviour)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == library {
				return name + " text " + dep.Version
			}
		}
	}
	return name
}
