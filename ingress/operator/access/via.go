package access

import (
	"github.com/gin-gonic/gin"

	"mailroom/shared/contract"
)

// clientHeader is the header with the name of the calling program; see Via.
const clientHeader = "X-Mailroom-Client"

// Via returns the program that sent a request: the console for a session, mailctl if it says
// so, else the API. A caller can claim any of them.
func Via(c *gin.Context) contract.Via {
	if _, ok := SessionFrom(c.Request.Context()); ok {
		return contract.ViaConsole
	}
	if c.GetHeader(clientHeader) == string(contract.ViaMailctl) {
		return contract.ViaMailctl
	}
	return contract.ViaAPI
}
