package console

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// auditLimit is how many entries of the chain a page shows.
const auditLimit = 50

// auditPages shows the audit chain.
type auditPages struct {
	*site
	chain auditchain.Store
}

// auditPage shows entries of the audit chain, newest first.
type auditPage struct {
	Entries []auditchain.Entry
	Older   int64 // the number to go on below; 0: there are no more
	Before  int64
	Checked int64
	Broken  int64
	Tested  bool
}

func (h *auditPages) list(g *gin.Context) error {
	ctx := g.Request.Context()
	var p auditPage
	var err error
	if p.Before, err = numberOf(g.Query("before")); err != nil {
		return err
	}
	if p.Entries, err = auditchain.Before(ctx, h.chain, p.Before, auditLimit); err != nil {
		return err
	}
	if len(p.Entries) >= auditLimit {
		p.Older = p.Entries[len(p.Entries)-1].Seq
	}

	if g.Query("verify") == "yes" {
		if p.Checked, p.Broken, err = auditchain.Verify(ctx, h.chain); err != nil {
			return err
		}
		p.Tested = true
	}
	return h.render(g, http.StatusOK, "audit", layout{Title: "Audit", Area: "audit", Body: p})
}

// auditText says in one line what an entry is about: what was done, to what, and why.
func auditText(e auditchain.Entry) string {
	var body struct {
		Action      contract.Action `json:"action"`
		Control     string          `json:"control"`
		Destination string          `json:"destination"`
		Paused      *bool           `json:"paused"`
		Replay      int64           `json:"replay"`
		Name        string          `json:"name"`
		Note        string          `json:"note"`
	}
	if json.Unmarshal([]byte(e.Body), &body) != nil {
		return ""
	}

	var words []string
	add := func(s string) {
		if s != "" {
			words = append(words, s)
		}
	}
	add(string(body.Action))
	add(body.Control)
	if body.Paused != nil {
		add(map[bool]string{true: "pause", false: "resume"}[*body.Paused])
	}
	if e.Kind == string(ledger.AuditReplay) && body.Replay != 0 {
		add("number " + strconv.FormatInt(body.Replay, 10))
	}
	add(body.Name)
	add(body.Destination)

	text := strings.Join(words, " ")
	if body.Note != "" {
		text = strings.TrimPrefix(text+": "+body.Note, ": ")
	}
	return text
}
