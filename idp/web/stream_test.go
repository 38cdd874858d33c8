package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestStream: a whole answer is whole, a broken one looks broken, and an error before the first byte is an ordinary one; over
// HTTP/1.1 and HTTP/2.
func TestStream(t *testing.T) {
	broken := errors.New("disk gone")
	large := strings.Repeat("line\n", 100_000)
	for _, version2 := range []bool{false, true} {
		for name, c := range map[string]struct {
			text  string
			err   error
			ok    bool
			early bool // the error is known before anything is sent
		}{
			"whole": {large, nil, true, false}, "empty": {"", nil, true, false},
			"broken off": {large, broken, false, false}, "refused": {"", broken, true, true},
		} {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				err := Stream(w, "text/csv", "a b.csv", func(out io.Writer) error {
					_, err := io.WriteString(out, c.text)
					return errors.Join(err, c.err)
				})
				if (err != nil) != (c.err != nil) {
					t.Errorf("%s: %v", name, err)
				}
				if c.early && err != nil {
					w.WriteHeader(http.StatusBadRequest)
				}
			}))
			server.EnableHTTP2 = version2
			server.StartTLS()
			answer, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			body, err := io.ReadAll(answer.Body)
			disposition := answer.Header.Get("Content-Disposition")
			if (err == nil) != c.ok || c.ok && !c.early && string(body) != c.text || c.early == (answer.StatusCode == http.StatusOK) || c.early == (disposition != "") {
				t.Errorf("%s, HTTP/2 %v: status %d, %d bytes, %v, %q", name, version2, answer.StatusCode, len(body), err, disposition)
			}
			if answer.ProtoMajor == 2 != version2 {
				t.Errorf("the answer came over %s", answer.Proto)
			}
			_ = answer.Body.Close()
			server.Close()
		}
	}
}
