package webhook

import (
	"io"
	"net/http"
	"time"

	"mailroom/ingress/guard"
	"mailroom/shared/fault"
)

// chunkTime is how long a sender may take for chunkSize bytes of its body. The place of a
// slower one goes to others.
const chunkTime = 10 * time.Second

// pacedBody reads a body and sets the connection's deadline anew for each chunk, never
// beyond end.
type pacedBody struct {
	r        io.Reader
	deadline func(time.Time) error
	chunk    time.Duration
	end      time.Time
	left     int // bytes of the chunk that have not come yet
	visit    *guard.Visit
}

// paceBody reads content at no less than chunkSize bytes in rc.chunkTime. A writer that
// has no deadlines, as in tests, leaves the pace to the sender.
func (rc *receiver) paceBody(w http.ResponseWriter, content io.Reader) *pacedBody {
	return &pacedBody{
		r: content, deadline: http.NewResponseController(w).SetReadDeadline, chunk: rc.chunkTime,
		// The server's own deadline runs since the first byte of the headers.
		end: time.Now().Add(readTimeout - readHeaderTimeout),
	}
}

// endWhenDisplaced makes p end early when the place of visit goes to another sender.
func (p *pacedBody) endWhenDisplaced(visit *guard.Visit) *pacedBody {
	p.visit = visit
	visit.OnDisplaced(func() { _ = p.deadline(time.Unix(1, 0)) })
	return p
}

func errDisplaced() error {
	return fault.New(fault.Overloaded, "another sender needed the place of this request, which was slow or one of many")
}

// Read reads at most to the end of the current chunk.
func (p *pacedBody) Read(buf []byte) (int, error) {
	if p.left == 0 {
		p.left = chunkSize
		limit := time.Now().Add(p.chunk)
		if limit.After(p.end) {
			limit = p.end
		}
		_ = p.deadline(limit) // without it the server's ReadTimeout holds
	}

	// After the deadline was set: otherwise it would undo what displacing has set.
	if p.visit.Displaced() {
		return 0, errDisplaced()
	}

	n, err := p.r.Read(buf[:min(len(buf), p.left)])
	p.left -= n
	p.visit.AddReceived(n)

	if err != nil && err != io.EOF && p.visit.Displaced() {
		return n, errDisplaced()
	}
	if err == io.EOF {
		// net/http goes on listening for a sender that leaves; this must not end early.
		_ = p.deadline(p.end)
	}
	return n, err //nolint:wrapcheck // a reader gives the errors of what it reads
}
