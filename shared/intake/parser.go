package intake

import (
	"fmt"
	"runtime/debug"
)

// behaviour counts the ways in which this package and those behind it have read
// mail. Whoever changes what is made of the same body counts it up.
const behaviour = 2

// library is what takes MIME apart, whose version is part of the parser's name.
const library = "github.com/jhillyerd/enmime/v2"

// Parser names what Decode is, such as "mailroom/1 enmime v2.3.0": mail that was
// read by parsers of the same name was read in the same way.
func Parser() string {
	name := fmt.Sprintf("mailroom/%d", behaviour)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == library {
				return name + " enmime " + dep.Version
			}
		}
	}
	return name
}
