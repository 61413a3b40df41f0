package workflows_test

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// scenario is one path through the workflow: how the steps answer, what people
// decide while the email is held, and how it must end. Each is run in the
// time-skipping environment and on a real server, and its history is kept in
// testdata/history and replayed.
type scenario struct {
	name      string
	input     func(*contract.InboundEmailInput)
	script    func(*script)
	acts      []contract.Decision // while the email waits, before it is held
	decisions []contract.Decision // one for each time the email is held
	held      []contract.Reason   // why, in turn
	rowless   bool                // held before the ledger knows the email
	unknown   []string            // signals that come before each decision, on a real server
	end       contract.State
	effects   map[string]int
}

var ticketing = map[string]int{"ticketing": 1}

func decide(a contract.Action) contract.Decision {
	return contract.Decision{Action: a, Actor: "ada", Note: "looked at it"}
}

// failing returns err on the first n calls and nothing after.
func failing[O any](n int, err error, then O) func(int) (O, error) {
	return func(call int) (O, error) {
		if call < n {
			var none O
			return none, err
		}
		return then, nil
	}
}

func scenarios() []scenario {
	out := []scenario{
		{name: "delivered", end: contract.Delivered, effects: ticketing},
		{name: "no_attachments_two_deliveries", end: contract.Delivered,
			script: func(s *script) {
				s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
					return contract.RouteResult{Routes: []string{"a", "b"}, Destinations: []string{"ticketing", "crm"}}, nil
				}
			}, effects: map[string]int{"ticketing": 1, "crm": 1}},
		{name: "large_mail", end: contract.Delivered, effects: ticketing,
			input: func(in *contract.InboundEmailInput) { in.Email.Size = contract.LargeMail + 1 }},
		{name: "store_unavailable", end: contract.Delivered, effects: ticketing,
			script: func(s *script) {
				s.store = failing(2, failure(fault.StorageUnavailable, 0), contract.StoreResult{})
			}},
		{name: "scanner_unavailable", end: contract.Delivered, effects: ticketing,
			script: func(s *script) {
				s.inspect = failing(2, failure(fault.ScannerUnavailable, 0), contract.InspectResult{})
			}},
		{name: "ledger_unavailable", end: contract.Delivered, effects: ticketing,
			script: func(s *script) {
				s.record = func(n int) error {
					if n < 2 {
						return failure(fault.StorageUnavailable, 0)
					}
					return nil
				}
			}},
		{name: "destination_unavailable", end: contract.Delivered, effects: ticketing,
			script: func(s *script) {
				s.deliver = func(_ context.Context, n int, _ contract.DeliverInput) (contract.DeliverResult, error) {
					if n < 3 {
						return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, 0)
					}
					return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
				}
			}},
		{name: "breaker_open", end: contract.Delivered, effects: ticketing,
			script: func(s *script) {
				s.deliver = func(_ context.Context, n int, _ contract.DeliverInput) (contract.DeliverResult, error) {
					if n < 1 {
						return contract.DeliverResult{}, failure(fault.BreakerOpen, 2*time.Second)
					}
					return contract.DeliverResult{Status: 200, Attempts: 1}, nil
				}
			}},
		{name: "destination_not_fast", end: contract.Delivered, effects: ticketing,
			script: func(s *script) {
				s.deliver = func(ctx context.Context, n int, _ contract.DeliverInput) (contract.DeliverResult, error) {
					if activity.GetInfo(ctx).IsLocalActivity {
						return contract.DeliverResult{}, activities.NotFast()
					}
					return contract.DeliverResult{Status: 200, Attempts: n}, nil
				}
			}},
		{name: "regular_from_then_on", end: contract.Delivered, effects: ticketing,
			script: func(s *script) {
				s.deliver = func(ctx context.Context, n int, _ contract.DeliverInput) (contract.DeliverResult, error) {
					if activity.GetInfo(ctx).IsLocalActivity {
						return contract.DeliverResult{}, activities.NeverFast()
					}
					return contract.DeliverResult{Status: 200, Attempts: n}, nil
				}
			}},
		{name: "replayed_from_routing", end: contract.Delivered, effects: ticketing,
			input: func(in *contract.InboundEmailInput) {
				in.Replay = &contract.Replayed{ID: 3, From: contract.StepRoute}
			}},
		{name: "ingress_hold_discarded", end: contract.Discarded, held: []contract.Reason{contract.IDConflict},
			input: func(in *contract.InboundEmailInput) {
				in.Hold = &contract.Hold{Reason: contract.IDConflict, Detail: "hashes aa and bb"}
			},
			decisions: []contract.Decision{decide(contract.Discard)}, effects: map[string]int{}},
		{name: "unknown_signals", end: contract.Discarded, held: []contract.Reason{contract.Infected}, script: infected,
			unknown:   []string{"aprove", "__temporal_`", "aprove"},
			decisions: []contract.Decision{decide(contract.Discard)}, effects: map[string]int{}},
		{name: "infected_retried_then_approved", end: contract.Delivered, effects: ticketing,
			held: []contract.Reason{contract.Infected, contract.Infected},
			script: func(s *script) {
				s.inspect = func(int) (contract.InspectResult, error) {
					return contract.InspectResult{Holds: holding(contract.Infected)}, nil
				}
			},
			decisions: []contract.Decision{decide(contract.Retry), decide(contract.Approve)}},
		{name: "one_delivery_rejected_then_retried", end: contract.Delivered,
			held: []contract.Reason{contract.DownstreamRejected},
			script: func(s *script) {
				s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
					return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing", "crm"}}, nil
				}
				s.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
					if in.Destination == "crm" && n < 1 {
						return contract.DeliverResult{}, failure(fault.DownstreamRejected, 0)
					}
					return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
				}
			},
			decisions: []contract.Decision{decide(contract.Retry)}, effects: map[string]int{"ticketing": 1, "crm": 1}},
		{name: "careful_destination_ambiguous", end: contract.Discarded, effects: map[string]int{},
			held: []contract.Reason{contract.AmbiguousEffect},
			script: func(s *script) {
				s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
					return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"legacy"}, Durable: []string{"legacy"}}, nil
				}
				s.deliver = func(context.Context, int, contract.DeliverInput) (contract.DeliverResult, error) {
					return contract.DeliverResult{}, failure(fault.AmbiguousEffect, 0)
				}
			},
			decisions: []contract.Decision{decide(contract.Discard)}},
		{name: "unroutable_until_a_rule_exists", end: contract.Delivered, effects: ticketing,
			held: []contract.Reason{contract.Unroutable, contract.Unroutable},
			script: func(s *script) {
				s.route = func(n int, _ contract.RouteInput) (contract.RouteResult, error) {
					if n < 2 {
						return contract.RouteResult{Holds: holding(contract.Unroutable)}, nil
					}
					return contract.RouteResult{Routes: []string{"late"}, Destinations: []string{"ticketing"}}, nil
				}
			},
			decisions: []contract.Decision{decide(contract.Approve), decide(contract.Retry)}},
		{name: "foreign_recipient_approved", end: contract.Delivered, effects: ticketing,
			held: []contract.Reason{contract.RecipientForeign},
			input: func(in *contract.InboundEmailInput) {
				in.Hold = &contract.Hold{Reason: contract.RecipientForeign, Detail: "no recipient is ours"}
			},
			script: func(s *script) {
				s.route = func(_ int, in contract.RouteInput) (contract.RouteResult, error) {
					if !in.AnyRecipient {
						return contract.RouteResult{Holds: holding(contract.Unroutable)}, nil
					}
					return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing"}}, nil
				}
			},
			decisions: []contract.Decision{decide(contract.Approve)}},
	}
	out = append(out, scenario{
		// The ingress saw no recipient, so the route step is the first to find them all foreign.
		name: "foreign_recipient_found_by_routing", end: contract.Delivered, effects: ticketing,
		held: []contract.Reason{contract.RecipientForeign},
		script: func(s *script) {
			s.route = func(_ int, in contract.RouteInput) (contract.RouteResult, error) {
				if !in.AnyRecipient {
					return contract.RouteResult{Holds: holding(contract.RecipientForeign)}, nil
				}
				return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing"}}, nil
			}
		},
		decisions: []contract.Decision{decide(contract.Approve)},
	})
	return append(append(append(out, fallbackScenarios()...), heldScenarios()...), waitingScenarios()...)
}

// waitingScenarios decide about an email that waits for its next attempt.
func waitingScenarios() []scenario {
	return []scenario{
		{name: "waiting_tried_now", end: contract.Delivered, effects: ticketing,
			script: func(s *script) { s.deliver = waitingScript().deliver },
			acts:   []contract.Decision{decide(contract.Retry)}},
		{name: "waiting_discarded", end: contract.Discarded, effects: ticketing, script: twoDestinations,
			acts: []contract.Decision{decide(contract.Discard)}},
		{name: "waiting_held_then_approved", end: contract.Delivered, effects: ticketing,
			script: func(s *script) { s.deliver = waitingScript().deliver },
			acts:   []contract.Decision{decide(contract.Held)},
			held:   []contract.Reason{contract.ManualHold}, decisions: []contract.Decision{decide(contract.Approve)}},
	}
}

// heldScenarios hold an email once for each reason that a step can give, and let
// it go on.
func heldScenarios() []scenario {
	var out []scenario
	hold := func(r contract.Reason, install func(*script, []contract.Hold)) {
		out = append(out, scenario{
			name: "held_" + string(r), end: contract.Delivered, held: []contract.Reason{r}, effects: ticketing,
			script:    func(s *script) { install(s, holding(r)) },
			decisions: []contract.Decision{decide(contract.Approve)},
		})
	}
	for _, r := range []contract.Reason{contract.SchemaInvalid, contract.MIMEMalformed, contract.AttachmentUnfetchable, contract.LoopDetected} {
		hold(r, func(s *script, h []contract.Hold) {
			s.store = func(int) (contract.StoreResult, error) { return contract.StoreResult{Holds: h}, nil }
		})
	}
	for _, r := range []contract.Reason{contract.TooLarge, contract.TypeDenied, contract.AttachmentMismatch, contract.Unscannable} {
		hold(r, func(s *script, h []contract.Hold) {
			s.inspect = func(int) (contract.InspectResult, error) { return contract.InspectResult{Holds: h}, nil }
		})
	}
	for _, r := range []contract.Reason{contract.ManualHold, contract.RecipientUnmatched} {
		hold(r, func(s *script, h []contract.Hold) {
			s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
				return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing"}, Holds: h}, nil
			}
		})
	}
	out = append(out, exhausted()...)
	return out
}

// exhausted are the holds that follow a budget: two seconds here.
func exhausted() []scenario {
	short := contract.StoreResult{Budgets: contract.Budgets{ScanSeconds: 2, DeliverSeconds: 2}}
	stored := func(int) (contract.StoreResult, error) { return short, nil }
	return []scenario{
		{name: "held_scanner_unavailable", end: contract.Delivered, held: []contract.Reason{contract.ScannerUnavailable}, effects: ticketing,
			script: func(s *script) {
				s.store = stored
				s.inspect = func(int) (contract.InspectResult, error) {
					return contract.InspectResult{}, failure(fault.ScannerUnavailable, 0)
				}
			},
			decisions: []contract.Decision{decide(contract.Approve)}},
		{name: "held_downstream_exhausted", end: contract.Discarded, held: []contract.Reason{contract.DownstreamExhausted}, effects: map[string]int{},
			script: func(s *script) {
				s.store = stored
				s.deliver = func(context.Context, int, contract.DeliverInput) (contract.DeliverResult, error) {
					return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, 0)
				}
			},
			decisions: []contract.Decision{decide(contract.Discard)}},
		{name: "held_internal", end: contract.Delivered, held: []contract.Reason{contract.Internal}, effects: ticketing,
			script: func(s *script) {
				s.store = failing(1, failure(fault.ContentLost, 0), contract.StoreResult{})
			},
			decisions: []contract.Decision{decide(contract.Retry)}},
	}
}
