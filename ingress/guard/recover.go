package guard

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"mailroom/shared/fault"
)

// Recover returns middleware that answers with refuse when a handler panics, and logs
// under the message line. The panic value may contain mail, so only its type and the
// stack are logged. If the answer has already begun, the connection is aborted, so that
// the client sees that the answer is incomplete.
func Recover(logger *slog.Logger, line string, refuse func(c *gin.Context, f *fault.Error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares the same way
				panic(p)
			}

			logger.Error(line, slog.String("route", c.FullPath()),
				slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
			if c.Writer.Written() {
				panic(http.ErrAbortHandler)
			}
			refuse(c, fault.New(fault.Internal, "something went wrong inside Mailroom, and its log says what; try again later"))
		}()
		c.Next()
	}
}
