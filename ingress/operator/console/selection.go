package console

import (
	"strconv"
	"strings"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// selection is the field of the emails that a person has selected one by one.
const selection = "pick"

// picksOf returns, by the number of each email that the caller may decide about, what its
// checkbox submits.
func picksOf(rows []ledger.EmailRow, who access.Identity) map[int64]string {
	out := map[int64]string{}
	for _, r := range rows {
		if who.In(r.Tenant) >= access.Operator {
			out[r.ID] = pickOf(ledger.Chosen{Number: r.ID, Version: r.Version}, r.Reason)
		}
	}
	return out
}

// pickOf writes an email as it was selected: its number, its version then, and what it was
// held for.
func pickOf(e ledger.Chosen, reason contract.Reason) string {
	text := strconv.FormatInt(e.Number, 10) + "." + strconv.FormatInt(e.Version, 10)
	if reason != "" {
		text += "." + string(reason)
	}
	return text
}

// selectInto adds to a filter the emails that were selected. If all of them are held for the
// same reason, and the filter names none, it is about that reason.
func selectInto(f *ledger.Filter, picks []string) error {
	reasons := map[contract.Reason]bool{}
	for _, pick := range picks {
		number, rest, _ := strings.Cut(pick, ".")
		version, reason, _ := strings.Cut(rest, ".")
		n, err := strconv.ParseInt(number, 10, 64)
		v, bad := strconv.ParseInt(version, 10, 64)
		if err != nil || bad != nil || n < 1 || v < 0 {
			return fault.New(fault.RequestInvalid, "This is no selection of the inbox.")
		}
		f.Emails = append(f.Emails, ledger.Chosen{Number: n, Version: v})
		reasons[contract.Reason(reason)] = true
	}

	if f.Reason == "" && len(reasons) == 1 {
		for reason := range reasons {
			f.Reason = reason
		}
	}
	return nil
}

// Picks returns what the form submits again of the emails that were selected.
func (f batchForm) Picks() []string {
	var out []string
	for _, e := range f.Filter.Emails {
		out = append(out, pickOf(e, ""))
	}
	return out
}
