package source

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

// operators are the codes of the operator API, which no webhook request meets.
var operators = []fault.Code{
	fault.Unauthorized, fault.Forbidden, fault.RequestInvalid, fault.DecisionRefused, fault.QueryTimeout,
}

// TestAnswers repeats the numbers of each row, so that a change of an answer has to be
// made in two places. A + marks an event that is held.
func TestAnswers(t *testing.T) {
	t.Parallel()
	order := []string{"mailparse", "standard-webhooks", "mailgun", "postmark", "sendgrid", "ses", "cloudmailin"}
	seen := map[fault.Code]bool{}
	for name, c := range map[string]struct {
		want  string
		codes []fault.Code
	}{
		"no proof":        {"401 401 406 403 401 403 401", of(fault.SignatureMissing, fault.CredentialsMissing)},
		"no timestamp":    {"401 401 406 403 401 403 401", of(fault.TimestampMissing, fault.TimestampInvalid)},
		"wrong proof":     {"401 401 406 403 401 403 503", of(fault.SignatureInvalid, fault.CredentialsInvalid)},
		"stale":           {"401 401 406 403 503 403 503", of(fault.TimestampStale)},
		"disabled":        {"410 410 406 403 503 403 503", of(fault.SourceDisabled)},
		"wrong access":    {"403 403 403 503 503 503 503", of(fault.AddressRefused, fault.TLSRequired)},
		"unreadable form": {"415 415 415 415 503 503 503", of(fault.ContentTypeInvalid, fault.EncodingRefused)},
		"too large":       {"413 413 406 403 503 503 413", of(fault.BodyTooLarge)},
		"other method":    {"405 405 405 405 405 405 405", of(fault.MethodNotAllowed)},
		"other path":      {"404 404 404 404 404 404 404", of(fault.NotFound)},
		"authentic, malformed": {"400 200+ 200+ 200+ 200+ 200+ 200+", of(
			fault.JSONMalformed, fault.EventIDMissing, fault.EventIDInvalid, fault.FieldInvalid, fault.FieldUnknown)},
		"overload": {"503 429 503 503 503 503 503", of(fault.Overloaded, fault.RateLimited, fault.Throttled, fault.InboxFull)},
		"cut off":  {"503 503 503 503 503 503 503", of(fault.BodyIncomplete)},
		"unavailable": {"503 503 503 503 503 503 503", of(
			fault.StorageUnavailable, fault.TemporalUnavailable, fault.ScannerUnavailable, fault.DownstreamUnavailable, fault.BreakerOpen, fault.DestinationPaused)},
		"internal": {"500 500 500 500 500 500 500", of(fault.Internal)},
		"not expected": {"500 500 500 500 500 500 500", of(
			fault.DownstreamRejected, fault.DownstreamGone, fault.AmbiguousEffect, fault.ContentLost, fault.NotReleased, fault.ConfigInvalid)},
	} {
		for _, code := range c.codes {
			require.False(t, seen[code], "%s has two rows", code)
			seen[code] = true
			for i, field := range strings.Fields(c.want) {
				src := newSource(t, order[i])
				number, held := strings.CutSuffix(field, "+")
				require.Equal(t, number, strconv.Itoa(src.Status(code)), "%s, %s to %s", name, code, order[i])
				require.Equal(t, held, src.Keeps(code), "%s, %s to %s", name, code, order[i])
			}
		}
	}

	require.Len(t, seen, len(fault.Codes)-len(operators), "a code has no row here")
	require.Len(t, order, len(families))
}

func TestEveryColumnAnswersEveryCode(t *testing.T) {
	t.Parallel()
	for name, family := range families {
		answers := column(family)
		for _, code := range fault.Codes {
			status, ok := answers[code]
			require.Equal(t, !slices.Contains(operators, code), ok, "%s: %s", name, code)
			if !ok {
				continue
			}
			require.True(t, status >= 400 || status == Accepted, "%s: %s", name, code)
			if answers.Keeps(code) {
				require.False(t, fault.New(code, "").Temporary, "%s: %s is temporary: no operator needs to see it", name, code)
			}
		}
		require.Equal(t, http.StatusInternalServerError, answers.Status("not a code"))
		require.False(t, answers.Keeps("not a code"))
	}
}

// TestTemporaryFailuresAreRetried checks that a provider retries after each temporary
// failure: after a 5xx, or after 429 if its documents say so.
func TestTemporaryFailuresAreRetried(t *testing.T) {
	t.Parallel()
	for name, family := range families {
		answers := column(family)
		for _, code := range append(of(fault.BodyIncomplete), fault.Codes...) {
			if code != fault.BodyIncomplete && !fault.New(code, "").Temporary {
				continue
			}
			status := answers.Status(code)
			if name == "standard-webhooks" && status == http.StatusTooManyRequests {
				continue
			}
			require.GreaterOrEqual(t, status, 500, "%s: %s", name, code)
		}
	}
}

// TestSilentDroppersGet4xxForForgeriesAlone checks the providers that drop mail after a
// 4xx without a notice.
func TestSilentDroppersGet4xxForForgeriesAlone(t *testing.T) {
	t.Parallel()
	forged := map[string][]fault.Code{
		"sendgrid": of(fault.SignatureMissing, fault.SignatureInvalid, fault.CredentialsMissing, fault.CredentialsInvalid,
			fault.TimestampMissing, fault.TimestampInvalid),
		"ses": of(fault.SignatureMissing, fault.SignatureInvalid, fault.CredentialsMissing, fault.CredentialsInvalid,
			fault.TimestampMissing, fault.TimestampInvalid, fault.TimestampStale, fault.SourceDisabled),
	}
	for name, codes := range forged {
		for code, status := range column(families[name]) {
			if code == fault.MethodNotAllowed || code == fault.NotFound {
				continue // not on the path of the source at all
			}
			require.Equal(t, slices.Contains(codes, code), status >= 400 && status < 500, "%s: %s", name, code)
		}
	}
}

func TestAnswersWithoutSource(t *testing.T) {
	t.Parallel()
	for code, want := range map[fault.Code]int{
		fault.NotFound: 404, fault.MethodNotAllowed: 405, fault.TLSRequired: 403, fault.AddressRefused: 403, fault.BodyTooLarge: 413,
		fault.Overloaded: 503, fault.RateLimited: 429, fault.Throttled: 429, fault.Internal: 500, "not a code": 500,
	} {
		require.Equal(t, want, WithoutSource().Status(code), code)
		require.False(t, WithoutSource().Keeps(code), code)
	}
}

func TestAnswersOfAProfile(t *testing.T) {
	t.Parallel()
	for profile, want := range map[string]int{"mailparse": 400, "standard-webhooks": 200} {
		c := newConfig()
		c.Profile = profile
		src, err := New(c, config.Tenant{Name: "default"})
		require.NoError(t, err)
		require.Equal(t, profile, src.Answers)
		require.Equal(t, want, src.Status(fault.JSONMalformed))
	}
}

// newSource returns a source with the profile mailparse and the named answers.
func newSource(t *testing.T, answers string) *Source {
	t.Helper()
	c := newConfig()
	c.Answers = answers
	src, err := New(c, config.Tenant{Name: "default"})
	require.NoError(t, err)
	require.Equal(t, answers, src.Answers)
	return src
}

// TestConfigurationNamesTheSame checks that the configuration's schema permits exactly what New accepts.
func TestConfigurationNamesTheSame(t *testing.T) {
	t.Parallel()
	var schema struct {
		Defs struct {
			Source struct {
				Properties map[string]struct {
					Enum []string `json:"enum"`
				} `json:"properties"`
			} `json:"source"`
		} `json:"$defs"`
	}
	text, err := os.ReadFile("../../shared/config/config.schema.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &schema))
	known := schema.Defs.Source.Properties
	require.ElementsMatch(t, slices.Collect(maps.Keys(families)), known["answers"].Enum)
	require.ElementsMatch(t, slices.Collect(maps.Keys(profiles)), known["profile"].Enum)
}
