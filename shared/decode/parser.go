package decode

import (
	"fmt"
	"runtime/debug"
)

// behaviour is the version of the way in which this package and payload and mime read
// mail. Increment it when the same body is decoded differently.
const behaviour = 3

// library converts character sets; its version is part of the parser's name.
const library = "golang.org/x/text"

// Parser returns the name of this version of Decode, such as "mailroom/3 text v0.43.0".
// Parsers of the same name decode a body in the same way.
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
