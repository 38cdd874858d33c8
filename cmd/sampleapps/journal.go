package sampleapps

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// exchange is one request and its answer as the page shows them, with every secret cut.
type exchange struct {
	From, To     string
	Method, Path string
	Sent, Got    []fact
	Status       string
	Failed       bool
}

type fact struct{ Name, Value string }

// recorder notes what a client sends to other servers and what they answer.
type recorder struct {
	from string
	to   func(host string) string
	note func(exchange)
}

// RoundTrip implements http.RoundTripper.
func (rec recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	e := exchange{From: rec.from, To: rec.to(r.URL.Host), Method: r.Method, Path: r.URL.Path, Sent: authorization(r.Header.Get("Authorization"))}
	if r.GetBody != nil {
		if body, err := r.GetBody(); err == nil {
			text, _ := io.ReadAll(body) // of a string in memory
			e.Sent = append(e.Sent, facts(text)...)
		}
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		e.Status, e.Failed = err.Error(), true
		rec.note(e)
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(text))
	e.Status, e.Failed, e.Got = response.Status, response.StatusCode >= 400, facts(text)
	rec.note(e)
	return response, err
}

// recording makes an HTTP client whose exchanges go into the visit's journal.
func (c *Client) recording(v *visit) *http.Client {
	return &http.Client{Timeout: callTimeout, Transport: recorder{from: c.speaker(), note: v.note, to: func(host string) string {
		if host == c.base.Host {
			return "the API"
		}
		return "Gatehouse"
	}}}
}

// speaker is who asks for tokens: of a gateway its partner.
func (c *Client) speaker() string {
	if c.spec.Kind == KindGateway {
		return partnerName
	}
	return c.spec.Name
}

func authorization(header string) []fact {
	scheme, rest, found := strings.Cut(header, " ")
	switch {
	case !found:
		return nil
	case scheme == "Basic":
		rest = "client id and secret"
	default:
		rest = cut(rest)
	}
	return []fact{{"Authorization", scheme + " " + rest}}
}

// facts reads a form or a JSON object.
func facts(text []byte) []fact {
	var object map[string]any
	if json.Unmarshal(text, &object) != nil {
		values, err := url.ParseQuery(string(text))
		if err != nil {
			return nil
		}
		return query(values)
	}
	return members(object)
}

func query(values url.Values) []fact {
	var list []fact
	for name, values := range values {
		list = append(list, fact{name, shown(name, strings.Join(values, " "))})
	}
	return sortedFacts(list)
}

func members(object map[string]any) []fact {
	var list []fact
	for name, value := range object {
		text, ok := value.(string)
		if number, isNumber := value.(float64); isNumber {
			text, ok = fmt.Sprintf("%.0f", number), true
		}
		if !ok {
			encoded, _ := json.Marshal(value) // came out of JSON
			text = string(encoded)
		}
		list = append(list, fact{name, shown(name, text)})
	}
	return sortedFacts(list)
}

func sortedFacts(list []fact) []fact {
	slices.SortFunc(list, func(a, b fact) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// secrets are the parameters whose value nobody else may see.
func secrets() []string {
	return []string{"client_secret", "code", "code_verifier", "access_token", "refresh_token", "id_token", "id_token_hint", "token", "registration_access_token"}
}

func shown(name, value string) string {
	if slices.Contains(secrets(), name) {
		return cut(value)
	}
	return value
}

// cut shows how a secret begins and ends: tokens of one kind begin alike, so that the end shows that another one came.
func cut(secret string) string {
	const first, last = 8, 4
	if len(secret) <= 2*(first+last) {
		return "…"
	}
	return secret[:first] + "…" + secret[len(secret)-last:]
}
