package guard

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"mailroom/shared/fault"
)

// Recover answers, by refuse, for a handler that panicked. What it panicked with may
// hold mail content, so that only its type and the place are logged, as line. An
// answer that has begun is torn, and the connection cut: the other side must see that.
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
			refuse(c, fault.New(fault.Internal, "something went wrong inside Mailroom"))
		}()
		c.Next()
	}
}
