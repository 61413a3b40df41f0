package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/away", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, tc := range []struct {
		args []string
		want int
	}{
		{[]string{srv.URL + "/ok"}, 0},
		{[]string{srv.URL + "/away"}, 1},
		{[]string{srv.URL + "/nowhere"}, 1},
		{[]string{"http://127.0.0.1:1/"}, 1},
		{[]string{"://"}, 1},
		{nil, 2},
		{[]string{"a", "b"}, 2},
	} {
		var stderr bytes.Buffer
		if got := run(tc.args, &stderr); got != tc.want {
			t.Errorf("probe %q: exit %d, want %d: %s", tc.args, got, tc.want, stderr.String())
		}
		if (tc.want == 0) != (stderr.Len() == 0) {
			t.Errorf("probe %q: said %q", tc.args, stderr.String())
		}
	}
}
