package activities

import (
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

const (
	// requestBudget is what the large requests of a process that are under way may take
	// together, by estimate. Ordinary mail is far below requestFree and takes none of it;
	// attachments are no part of a request, so what is large has thousands of addresses.
	requestBudget = 256 << 20
	requestFree   = 1 << 20
	requestWait   = 2 * time.Second
)

// requestCost estimates the bytes that the request of a mail takes from when it is made
// until its call is over.
func requestCost(m *ledger.Manifest, message *mail.Message) int64 {
	const (
		perRecipient = 5 // times its address: as it is, read in two ways, and as JSON
		twice        = 2 // what is copied into JSON
	)
	size := twice * (min(len(message.Text), maxText) + min(len(message.HTML), maxText))
	for _, r := range m.Recipients {
		size += perRecipient * len(r)
	}
	for _, addresses := range [][]mail.Address{message.From, message.To, message.Cc, message.ReplyTo} {
		for _, a := range addresses {
			size += twice * (len(a.Name) + len(a.Address))
		}
	}
	return int64(size)
}

// reserve takes the memory of a request out of the budget. It does not wait for it: the
// delivery would hold a place of the destination meanwhile.
func (s *Deliver) reserve(cost int64) (release func(), err error) {
	if cost <= requestFree {
		return func() {}, nil
	}
	cost = min(cost, requestBudget)
	if !s.memory.TryAcquire(cost) {
		return nil, fault.New(fault.Overloaded, "too many large requests are under way").After(requestWait)
	}
	return func() { s.memory.Release(cost) }, nil
}
