package activities

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// maxRetryDelay bounds the wait that a fault may ask for, so that no destination can park
// an email for longer.
const maxRetryDelay = time.Hour

// panicAttempts is how many attempts of an activity may panic before the failure
// counts as permanent and the email is held as internal.
const panicAttempts = 5

// row is how one code appears in Temporal.
type row struct {
	// category is benign where the failure is an everyday one of another system, which
	// has a metric and a ledger row of its own.
	category temporal.ApplicationErrorCategory
	// delay is the shortest wait before the next attempt; zero leaves it to the
	// retry policy. A fault that asks for longer gets it, up to maxRetryDelay.
	delay time.Duration
}

// rows returns the row of every code. Whether an error is retried is a property of the
// fault (Temporary), not of the table: the same code can be either.
func rows() map[fault.Code]row {
	const (
		loud  = temporal.ApplicationErrorCategoryUnspecified
		quiet = temporal.ApplicationErrorCategoryBenign
	)
	return map[fault.Code]row{
		fault.SignatureMissing:   {category: loud},
		fault.SignatureInvalid:   {category: loud},
		fault.TimestampMissing:   {category: loud},
		fault.TimestampInvalid:   {category: loud},
		fault.TimestampStale:     {category: loud},
		fault.BodyTooLarge:       {category: loud},
		fault.BodyIncomplete:     {category: loud},
		fault.ContentTypeInvalid: {category: loud},
		fault.EncodingRefused:    {category: loud},
		fault.MethodNotAllowed:   {category: loud},
		fault.NotFound:           {category: loud},
		fault.JSONMalformed:      {category: loud},
		fault.EventIDMissing:     {category: loud},
		fault.EventIDInvalid:     {category: loud},
		fault.FieldInvalid:       {category: loud},
		fault.FieldUnknown:       {category: loud},
		fault.CredentialsMissing: {category: loud},
		fault.CredentialsInvalid: {category: loud},
		fault.AddressRefused:     {category: loud},
		fault.SourceDisabled:     {category: loud},
		fault.TLSRequired:        {category: loud},
		fault.Throttled:          {category: loud},
		fault.RateLimited:        {category: loud},
		fault.InboxFull:          {category: loud},
		fault.Unauthorized:       {category: loud},
		fault.Forbidden:          {category: loud},
		fault.RequestInvalid:     {category: loud},
		fault.DecisionRefused:    {category: loud},
		fault.QueryTimeout:       {category: loud},

		fault.Overloaded:            {category: quiet, delay: time.Second},
		fault.StorageUnavailable:    {category: loud},
		fault.TemporalUnavailable:   {category: loud},
		fault.ScannerUnavailable:    {category: loud},
		fault.DownstreamUnavailable: {category: quiet},
		// An attempt against an open breaker is wasted: never at once.
		fault.BreakerOpen: {category: quiet, delay: time.Second},
		// A pause ends when a person ends it: the destination asks for the wait.
		fault.DestinationPaused: {category: quiet, delay: time.Second},
		fault.Internal:          {category: loud},

		fault.DownstreamRejected: {category: quiet},
		fault.DownstreamGone:     {category: quiet, delay: time.Second}, // as a pause
		fault.AmbiguousEffect:    {category: quiet},
		fault.ContentLost:        {category: loud},
		fault.NotReleased:        {category: quiet},
		fault.ConfigInvalid:      {category: loud},
	}
}

// askedDelay returns the shortest wait before the next attempt after f, as f and its row
// have it, at most maxRetryDelay; zero leaves it to the retry policy.
func askedDelay(f *fault.Error) time.Duration {
	return min(max(f.RetryAfter, rows()[f.Code].delay), maxRetryDelay)
}

// toTemporal makes of err what crosses to Temporal: type = code, message = the
// public sentence and nothing else of it. An error without a fault is internal
// and retried. A cancelled context passes as context.Canceled, stripped of what
// was wrapped around it, because the SDK asks for exactly that; nil stays nil.
func toTemporal(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}

	f := fault.From(err)
	message := f.Public
	if message == "" {
		message = string(f.Code)
	}

	options := temporal.ApplicationErrorOptions{NonRetryable: !f.Temporary, Category: rows()[f.Code].category}
	switch delay := delayOf(err); {
	case delay > 0:
		options.NextRetryDelay = delay
	case f.Temporary:
		options.NextRetryDelay = askedDelay(f)
	}
	return temporal.NewApplicationErrorWithOptions(message, string(f.Code), options)
}

// translateError ends an activity: deferred first, with the address of its named error,
// it turns a panic into an internal fault, writes the cause to the log, and
// leaves in *err what Temporal may see. It is the one place that does either.
func translateError(ctx context.Context, email contract.Email, err *error) {
	if p := recover(); p != nil {
		*err = panicked(ctx, p)
	}
	if *err == nil {
		return
	}

	if errors.Is(*err, errNotFast) { // no failure: nothing was tried
		*err = NotFast()
		return
	}
	if errors.Is(*err, context.Canceled) && ctx.Err() == nil {
		// Something inside was cancelled, the activity was not: a failure like any other.
		f := *fault.From(*err)
		f.Err = errors.New((*err).Error())
		*err = &f
	}

	logCause(ctx, email, *err)
	*err = toTemporal(delayed(ctx, *err))
}

// panicked makes a fault of a recovered panic: temporary at first, because the
// cause may lie in the process; permanent from the attempt panicAttempts on,
// because then it lies in the email.
func panicked(ctx context.Context, p any) *fault.Error {
	// What libraries panic with may quote the mail; the runtime's own errors do not.
	what := fmt.Sprintf("%T", p)
	var re runtime.Error
	if e, ok := p.(error); ok && errors.As(e, &re) {
		what = re.Error()
	}
	f := fault.Wrap(fault.Internal, "a step of this email crashed; the log has the details",
		fmt.Errorf("panic: %s\n%s", what, debug.Stack()))
	if attempt(ctx) >= panicAttempts {
		return f.Permanent()
	}
	return f
}

// attempt counts from 1; a caller outside an activity is at its first.
func attempt(ctx context.Context) int32 {
	if !activity.IsActivity(ctx) {
		return 1
	}
	return activity.GetInfo(ctx).Attempt
}

func logCause(ctx context.Context, email contract.Email, err error) {
	if !activity.IsActivity(ctx) || errors.Is(err, context.Canceled) {
		return
	}
	f := fault.From(err)
	keyvals := []any{
		"event_id", email.EventID, "correlation_id", email.CorrelationID,
		"tenant", email.Tenant, "source", email.Source,
		"code", string(f.Code), "temporary", f.Temporary, "error", err.Error(),
	}

	logger := activity.GetLogger(ctx)
	if f.Temporary {
		logger.Warn("step.failed", keyvals...)
		return
	}
	logger.Error("step.failed", keyvals...)
}
