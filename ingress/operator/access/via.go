package access

import (
	"github.com/gin-gonic/gin"

	"mailroom/shared/contract"
)

// clientHeader names the program that calls; see Via.
const clientHeader = "X-Mailroom-Client"

// Via says through what a request came: a browser's session is the console's, and
// mailctl names itself. It is no proof of anything.
func Via(c *gin.Context) contract.Via {
	if _, ok := SessionFrom(c.Request.Context()); ok {
		return contract.ViaConsole
	}
	if c.GetHeader(clientHeader) == string(contract.ViaMailctl) {
		return contract.ViaMailctl
	}
	return contract.ViaAPI
}
