package mailctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxReply bounds a JSON answer of the operator API in bytes.
const maxReply = 32 << 20

// refusal is an error of the operator API.
type refusal struct {
	status  int
	Code    string `json:"error"`
	Message string `json:"message"`
	token   string // the origin of the token that was refused
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("%s (%s, HTTP %d)", r.Message, r.Code, r.status)
	if r.status == http.StatusUnauthorized || r.status == http.StatusForbidden {
		text += "; the token " + r.token
	}
	return text
}

// call sends a request to the operator API and returns the answer of a success, whose
// body the caller closes. With -o json an error of the API is printed as it came.
func (s *session) call(method, path string, query url.Values, body []byte) (*http.Response, error) {
	token, err := s.token()
	if err != nil {
		return nil, err
	}

	address := strings.TrimRight(s.API, "/") + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}

	req, err := http.NewRequestWithContext(s.ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, usagef("--api: this is not a URL")
	}

	req.Header.Set("Authorization", "Bearer "+token.text)
	req.Header.Set("X-Mailroom-Client", "mailctl") // recorded with decisions
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}

	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // names method and address already
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()

	text, err := readJSON(resp)
	if err != nil {
		return nil, err
	}

	refused := &refusal{status: resp.StatusCode, token: token.origin}
	if err := json.Unmarshal(text, refused); err != nil || refused.Code == "" {
		return nil, foreign(resp)
	}

	if s.json() {
		if err := s.printJSON(json.RawMessage(text)); err != nil {
			return nil, err
		}
	}

	return nil, refused
}

// callJSON is call for JSON: it decodes the answer into out, and with -o json also prints
// it as it came.
func (s *session) callJSON(method, path string, query url.Values, body []byte, out any) error {
	text, err := s.fetchJSON(method, path, query, body, out)
	if err != nil || !s.json() {
		return err
	}
	return s.printJSON(json.RawMessage(text))
}

// fetchJSON is call for JSON that the command does not print: it decodes the answer into
// out and returns its text.
func (s *session) fetchJSON(method, path string, query url.Values, body []byte, out any) ([]byte, error) {
	resp, err := s.call(method, path, query, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := readJSON(resp)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, foreign(resp)
	}
	return text, nil
}

func readJSON(resp *http.Response) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, foreign(resp)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return text, nil
}

func foreign(resp *http.Response) error {
	return fmt.Errorf("the answer is not the operator API's (HTTP %d): check --api", resp.StatusCode)
}

// emailPath returns the path of an email with its id as one segment, whatever the id
// contains.
func emailPath(eventID, rest string) string {
	segment := strings.ReplaceAll(url.PathEscape(eventID), ".", "%2E") // "." and ".." must not be resolved
	return "/api/v1/emails/" + segment + rest
}
