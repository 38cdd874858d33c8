package sampleapps

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/crewjam/saml/samlsp"
)

const (
	waitingLimit = 1000
	waitingTime  = 15 * time.Minute
)

// tracker remembers the requests that wait for an answer, by RelayState. crewjam's own one uses cookies that end after
// 90 seconds and that browsers leave out of a cross-site POST on plain http: too short for a person who reads first.
type tracker struct {
	mu      sync.Mutex
	waiting map[string]waitingRequest
}

type waitingRequest struct {
	samlsp.TrackedRequest
	since time.Time
}

func newTracker() *tracker { return &tracker{waiting: map[string]waitingRequest{}} }

// TrackRequest remembers a request; its answer leads back to the front page.
func (t *tracker) TrackRequest(_ http.ResponseWriter, _ *http.Request, id string) (string, error) {
	index := rand.Text()
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, waiting := range t.waiting {
		if len(t.waiting) >= waitingLimit || time.Since(waiting.since) > waitingTime {
			delete(t.waiting, key)
		}
	}
	request := samlsp.TrackedRequest{Index: index, SAMLRequestID: id, URI: "/"}
	t.waiting[index] = waitingRequest{TrackedRequest: request, since: time.Now()}
	return index, nil
}

// StopTrackingRequest forgets a request.
func (t *tracker) StopTrackingRequest(_ http.ResponseWriter, _ *http.Request, index string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting, index)
	return nil
}

// GetTrackedRequests returns the request that the posted RelayState names, if any.
func (t *tracker) GetTrackedRequests(r *http.Request) []samlsp.TrackedRequest {
	request, err := t.GetTrackedRequest(r, r.PostForm.Get("RelayState"))
	if err != nil {
		return nil
	}
	return []samlsp.TrackedRequest{*request}
}

// GetTrackedRequest returns the request of index, or http.ErrNoCookie, which is what crewjam's middleware expects.
func (t *tracker) GetTrackedRequest(_ *http.Request, index string) (*samlsp.TrackedRequest, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting, ok := t.waiting[index]
	if !ok {
		return nil, http.ErrNoCookie
	}
	return &waiting.TrackedRequest, nil
}
