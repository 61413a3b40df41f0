package access

import (
	"github.com/gin-gonic/gin"

	"mailroom/shared/contract"
)

// clientHeader names the calling program; see Via.
const clientHeader = "X-Mailroom-Client"

// Via says which client sent a request: a session is the console's, and mailctl names
// itself. It proves nothing.
func Via(c *gin.Context) contract.Via {
	if _, ok := SessionFrom(c.Request.Context()); ok {
		return contract.ViaConsole
	}
	if c.GetHeader(clientHeader) == string(contract.ViaMailctl) {
		return contract.ViaMailctl
	}
	return contract.ViaAPI
}
