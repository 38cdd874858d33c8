package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Ask is a fetch with bounds of its own. ETag and LastModified are those of the copy that the asker has.
type Ask struct {
	URL          string
	ETag         string
	LastModified string
	Accept       string        // media types; empty: metadata
	Most         int64         // bytes, unpacked
	Within       time.Duration // 0: 5 seconds, as for Fetch
	Direct       bool          // over https alone, and no redirect is followed
	Words        Words         // for the sentence of an error
}

// Got is the answer to an Ask.
type Got struct {
	NotModified  bool // nothing was written: the copy is still good
	ETag         string
	LastModified string
	Type         string        // the media type, as the server wrote it
	Fresh        time.Duration // for how long the server lets the copy be kept without asking, from now; Unsaid: it does not say
	Bytes        int64
}

// maxTag bounds what is kept of a server's ETag, in bytes.
const maxTag = 512

// Get writes what is at an address to w, unless the server says that the asker's copy is still good. It is bound like Fetch
// in what it may reach, and follows the same redirects. Every error is an *Error.
func (c *Client) Get(ctx context.Context, ask Ask, w io.Writer) (Got, error) {
	if ask.Within == 0 {
		ask.Within = timeout
	}
	ctx, cancel := context.WithTimeout(ctx, ask.Within)
	defer cancel()
	request, err := newRequest(ctx, http.MethodGet, ask.URL, nil)
	if err != nil {
		return Got{}, err
	}
	u := request.URL
	if ask.Direct && u.Scheme != "https" {
		return Got{}, worded(u, ask.Words, errPlain)
	}
	if request.Header.Set("Accept", acceptMetadata); ask.Accept != "" {
		request.Header.Set("Accept", ask.Accept)
	}
	if ask.ETag != "" {
		request.Header.Set("If-None-Match", ask.ETag)
	}
	if ask.LastModified != "" {
		request.Header.Set("If-Modified-Since", ask.LastModified)
	}
	patient := *c.http
	patient.Timeout = 0 // the context ends it
	if ask.Direct {
		patient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	response, err := patient.Do(request)
	if err != nil {
		return Got{}, worded(u, ask.Words, err)
	}
	defer func() { _ = response.Body.Close() }()
	got := Got{ETag: tag(response.Header.Get("ETag")), LastModified: tag(response.Header.Get("Last-Modified")), Type: tag(response.Header.Get("Content-Type")), Fresh: fresh(response.Header)}
	if response.StatusCode == http.StatusNotModified && ask.ETag+ask.LastModified != "" {
		got.NotModified = true
		return got, nil
	}
	if response.StatusCode != http.StatusOK {
		return got, badStatus(u, ask.Words, response.StatusCode)
	}
	got.Bytes, err = io.Copy(w, io.LimitReader(response.Body, ask.Most+1))
	switch {
	case err != nil:
		return got, tooSlow(u, &ask, err)
	case got.Bytes > ask.Most:
		return got, tooMuch(u, ask.Words, ask.Most)
	}
	return got, nil
}

// Reach tells whether something answers at an address, bound like Fetch in what it may reach: nil for every answer but those that
// say that nothing is there. Every error is an *Error.
func (c *Client) Reach(ctx context.Context, address string) error {
	request, err := newRequest(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	still := *c.http
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := still.Do(request)
	if err != nil {
		return worded(request.URL, Words{}, err)
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusNotFound, http.StatusGone, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return badStatus(request.URL, Words{}, response.StatusCode)
	}
	return nil
}

func tag(s string) string {
	if len(s) > maxTag {
		return ""
	}
	return s
}

func amount(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

func tooSlow(u *url.URL, ask *Ask, err error) *Error {
	if errors.Is(err, context.DeadlineExceeded) {
		return ask.Words.fault(err, fmt.Sprintf("%s did not send everything within %s", u.Host, ask.Within), "try again later")
	}
	return worded(u, ask.Words, err)
}

func tooMuch(u *url.URL, words Words, most int64) *Error {
	return words.fault(nil, fmt.Sprintf("%s sent more than %s, which is more than is taken", u.Host, amount(most)), "check "+words.given())
}

func badStatus(u *url.URL, words Words, status int) *Error {
	e := words.fault(nil, fmt.Sprintf("%s answered with status %d instead of what was asked for", u.Host, status), "check "+words.given())
	e.Status = status
	return e
}

// Call is a question to another server's program. Form is posted; nil: a GET.
type Call struct {
	URL           string
	Authorization string // header
	Form          url.Values
	Most          int64 // bytes of the answer
	Words         Words // for the sentence of an error
}

// Reply is the answer, whatever its status.
type Reply struct {
	Status int
	Type   string // of the body
	Body   []byte
}

// Call asks another server's program. It is bound like Fetch in what it may reach, and follows no redirect: what proves us goes
// nowhere else. Every error is an *Error.
func (c *Client) Call(ctx context.Context, call Call) (Reply, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if call.Form != nil {
		method, body = http.MethodPost, strings.NewReader(call.Form.Encode())
	}
	request, err := newRequest(ctx, method, call.URL, body)
	if err != nil {
		return Reply{}, err
	}
	request.Header.Set("Accept", "application/json")
	if call.Form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if call.Authorization != "" {
		request.Header.Set("Authorization", call.Authorization)
	}
	still := *c.http
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := still.Do(request)
	if err != nil {
		return Reply{}, worded(request.URL, call.Words, err)
	}
	defer func() { _ = response.Body.Close() }()
	reply := Reply{Status: response.StatusCode, Type: response.Header.Get("Content-Type")}
	reply.Body, err = readAll(request.URL, response.Body, call.Words, call.Most)
	return reply, err
}
