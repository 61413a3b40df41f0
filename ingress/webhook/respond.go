package webhook

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"mailroom/shared/fault"
)

// retryAfter is what a sender is told to wait when the fault names no time.
const retryAfter = 5 * time.Second

// correlationHeader has the correlation id, in requests and in answers.
const correlationHeader = "X-Correlation-Id"

// answers returns the status of a code: a source's table, or the one of requests
// that belong to no source.
type answers interface {
	Status(code fault.Code) int
}

// acceptedAnswer is the body of a 2xx. Guides and providers look for ok or for status.
type acceptedAnswer struct {
	OK        bool   `json:"ok"`
	Status    string `json:"status"`
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate"`
}

// refusedAnswer is the body of everything else.
type refusedAnswer struct {
	OK      bool       `json:"ok"`
	Error   fault.Code `json:"error"`
	Message string     `json:"message"`
}

// respond writes v as JSON. An error of the write is the sender's loss: it asks again.
func respond(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only of types above, which marshal
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// refuse answers a fault with its public sentence; the cause stays inside.
func refuse(w http.ResponseWriter, a answers, f *fault.Error) {
	status := a.Status(f.Code)
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		wait := f.RetryAfter
		if wait <= 0 {
			wait = retryAfter
		}
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	switch f.Code {
	case fault.BodyTooLarge, fault.BodyIncomplete, fault.Throttled, fault.AddressRefused, fault.SourceDisabled:
		w.Header().Set("Connection", "close") // the rest of the body is not worth reading
	}
	respond(w, status, refusedAnswer{Error: f.Code, Message: f.Public})
}
