package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Where a script drops a connection.
const (
	dropBefore = "before" // nothing was done
	dropAfter  = "after"  // the effect is there, the answer is not
)

// Script says how the next requests to a path fail. The scripts of a path apply in the order in
// which they were added.
type Script struct {
	Path       string `json:"path"`                  // "/tickets"; empty: every path
	Status     int    `json:"status,omitempty"`      // any but 2xx has no effect
	Delay      string `json:"delay,omitempty"`       // before anything happens, "200ms"
	Drop       string `json:"drop,omitempty"`        // before or after the effect
	Hang       bool   `json:"hang,omitempty"`        // no answer until the caller disconnects
	RetryAfter string `json:"retry_after,omitempty"` // the header, with a status that is not 2xx
	Location   string `json:"location,omitempty"`    // the header, likewise
	Count      int    `json:"count,omitempty"`       // how many requests; 0: until it is cleared

	delay time.Duration
}

// scripts holds the scripts that have requests left.
type scripts struct {
	mu   sync.Mutex
	list []*Script
}

// next consumes one request of the first script for the path and returns it, or the zero Script.
func (s *scripts) next(path string) Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, one := range s.list {
		if one.Path != "" && one.Path != path {
			continue
		}
		if one.Count == 1 {
			s.list = append(s.list[:i:i], s.list[i+1:]...)
		} else if one.Count > 1 {
			one.Count--
		}
		return *one
	}
	return Script{}
}

func (s *scripts) add(one Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, &one)
}

// clear removes the scripts of path, or all of them.
func (s *scripts) clear(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept []*Script
	for _, one := range s.list {
		if path != "" && one.Path != path {
			kept = append(kept, one)
		}
	}
	s.list = kept
}

func (s *scripts) all() []Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Script, 0, len(s.list))
	for _, one := range s.list {
		out = append(out, *one)
	}
	return out
}

// addScript adds one Script.
func (s *Sink) addScript(w http.ResponseWriter, r *http.Request) {
	var one Script
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&one); err != nil {
		reply(w, http.StatusBadRequest, ok{Error: "not a script: " + err.Error()})
		return
	}

	var wrong string
	if one.Delay != "" {
		var err error
		if one.delay, err = time.ParseDuration(one.Delay); err != nil || one.delay < 0 {
			wrong = "delay must be a duration such as 200ms"
		}
	}
	switch {
	case one.Path != "" && !strings.HasPrefix(one.Path, "/"):
		wrong = "path must begin with /"
	case one.Status != 0 && (one.Status < 200 || one.Status > 599):
		wrong = "status must be between 200 and 599"
	case one.Drop != "" && one.Drop != dropBefore && one.Drop != dropAfter:
		wrong = "drop must be before or after"
	case one.Count < 0:
		wrong = "count must not be negative"
	}

	if wrong != "" {
		reply(w, http.StatusBadRequest, ok{Error: wrong})
		return
	}
	s.scripts.add(one)
	reply(w, http.StatusOK, ok{OK: true})
}

// pause waits as long as the script says. It returns false if the caller disconnects first.
func pause(r *http.Request, s Script) bool {
	if s.Hang {
		<-r.Context().Done()
		return false
	}
	if s.delay <= 0 {
		return true
	}
	timer := time.NewTimer(s.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
