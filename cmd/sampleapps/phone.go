package sampleapps

import (
	"net"
	"net/http"
	"net/url"
	"time"
)

// loopback is the listener by which a native app gets the answer of one sign-in (RFC 8252, 7.3): the system gives it a port, and
// it ends with the answer.
type loopback struct {
	redirect string
	server   *http.Server
}

// openLoopback waits for one answer that belongs to the visit.
func (c *Client) openLoopback(v *visit) (*loopback, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/callback"}
	mux := http.NewServeMux()
	l := &loopback{redirect: address.String(), server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.phone != l {
			http.Error(w, "This sign-in is over.", http.StatusGone)
			return
		}
		c.answered(r, v)
		v.phone = nil
		go l.server.Shutdown(r.Context()) // once this answer is written
		http.Redirect(w, r, c.URL(), http.StatusSeeOther)
	})
	go l.server.Serve(listener) // ends with close or the answer
	time.AfterFunc(waitingTime, l.close)
	return l, nil
}

func (l *loopback) close() { l.server.Close() }
