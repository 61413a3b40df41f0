package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "well") })
	mux.HandleFunc("/away", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, tc := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{srv.URL + "/ok"}, 0, ""},
		{[]string{"-print", srv.URL + "/ok"}, 0, "well"},
		{[]string{srv.URL + "/away"}, 1, ""},
		{[]string{srv.URL + "/nowhere"}, 1, ""},
		{[]string{"http://127.0.0.1:1/"}, 1, ""},
		{[]string{"://"}, 1, ""},
		{nil, 2, ""},
		{[]string{"-print"}, 2, ""},
		{[]string{"a", "b"}, 2, ""},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(tc.args, &stdout, &stderr); got != tc.want || stdout.String() != tc.says {
			t.Errorf("probe %q: exit %d, want %d: %s%s", tc.args, got, tc.want, stdout.String(), stderr.String())
		}
		if (tc.want == 0) != (stderr.Len() == 0) {
			t.Errorf("probe %q: said %q", tc.args, stderr.String())
		}
	}
}
