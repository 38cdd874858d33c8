package sampleapps

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// introspected is what an API needs to know of a token (RFC 7662, 2.2), or why it is told nothing (RFC 6749, 5.2).
type introspected struct {
	Active      bool   `json:"active"`
	Scope       string `json:"scope,omitempty"`
	ClientID    string `json:"client_id,omitempty"`
	Username    string `json:"username,omitempty"`
	Expires     int64  `json:"exp,omitempty"`
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
}

// served is what the API answers. Asked is what the identity provider said about the token, so that a page can show it.
type served struct {
	Rows        []Row         `json:"rows,omitempty"`
	Asked       *introspected `json:"introspection,omitempty"`
	Error       string        `json:"error,omitempty"`
	Description string        `json:"error_description,omitempty"`
}

// serveAPI is the API: it asks the identity provider about the token of each call, with the app's own credentials.
func (c *Client) serveAPI(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	told, err := c.introspect(r.Context(), token)
	answer, status := served{Asked: told}, http.StatusOK
	switch {
	case err != nil:
		status, answer.Error, answer.Description = http.StatusBadGateway, "server_error", err.Error()
	case told.Error != "":
		status, answer.Error, answer.Description = http.StatusForbidden, told.Error, told.Description
	case !told.Active:
		status, answer.Error = http.StatusUnauthorized, "invalid_token"
		answer.Description = "Gatehouse says that the token is not good: it has ended, was withdrawn, or its app is blocked."
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case !slices.Contains(strings.Fields(told.Scope), c.spec.API.Scope):
		status, answer.Error, answer.Description = http.StatusForbidden, "insufficient_scope", "The token is good, but not for "+c.spec.API.Scope+"."
	default:
		answer.Rows = c.spec.API.Rows
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}

// introspect asks about a token as the app itself: of a gateway as the parent of its partners' clients.
func (c *Client) introspect(ctx context.Context, token string) (*introspected, error) {
	own := c.Credentials()
	p, err := c.provider(ctx, own, "")
	if err != nil {
		return nil, err
	}
	form := strings.NewReader(url.Values{"token": {token}}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Introspection, form)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(own.ClientID), url.QueryEscape(own.Secret))
	answer := &introspected{}
	_, err = send(&http.Client{Timeout: callTimeout}, request, answer)
	return answer, err
}

// send reads a JSON answer, also of a refusal.
func send(client *http.Client, request *http.Request, answer any) (status int, err error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return 0, fmt.Errorf("%s answers %s without JSON", request.URL.Host, response.Status)
	}
	return response.StatusCode, nil
}

// asksEnd learns when the refresh token dies. A phone, which has no secret, may not ask.
func (c *Client) asksEnd(ctx context.Context, p *party, v *visit) error {
	v.ends = ""
	if v.token.RefreshToken == "" || p.config.ClientSecret == "" {
		return nil
	}
	told, err := c.introspect(ctx, v.token.RefreshToken)
	if err == nil && told.Expires != 0 {
		v.ends = clock(time.Unix(told.Expires, 0))
	}
	return err
}

// call uses the access token, after renewing one that has ended.
func (c *Client) call(w http.ResponseWriter, r *http.Request) {
	v := c.visits.of(w, r)
	defer v.mu.Unlock()
	v.rows = nil
	switch err := c.ask(r.Context(), v); {
	case err != nil:
		v.notice = refusal("The call was refused", err)
	case c.spec.API.Things == "":
		v.notice = notice{Title: "Gatehouse answered", Text: "What it says about you stands under “What happened”, from the userinfo endpoint."}
	default:
		v.notice = notice{Title: "The call was allowed", Text: "The API asked Gatehouse about the token, which is good, and for " + c.spec.API.Scope + "."}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (c *Client) ask(ctx context.Context, v *visit) error {
	if v.token == nil {
		return errors.New("nobody is signed in here")
	}
	if !v.token.Valid() && v.token.RefreshToken != "" {
		if err := c.refresh(ctx, v); err != nil {
			return err
		}
	}
	address := c.at("api/" + c.spec.API.Things)
	if c.spec.API.Things == "" {
		p, err := c.provider(ctx, c.signsIn(), "")
		if err != nil {
			return err
		}
		address = p.UserInfo
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+v.token.AccessToken)
	var answer served
	status, err := send(c.recording(v), request, &answer)
	if answer.Asked != nil {
		v.note(answer.Asked.exchange(v.token.AccessToken))
	}
	if err == nil && status != http.StatusOK {
		return &denied{answer}
	}
	v.rows = answer.Rows
	return err
}

// exchange is what the API did meanwhile, as it told in its answer.
func (i *introspected) exchange(token string) exchange {
	e := exchange{From: "The API", To: "Gatehouse", Method: http.MethodPost, Path: "/oauth/introspect", Sent: []fact{{"token", cut(token)}}, Status: "active"}
	if !i.Active {
		e.Status, e.Failed = cmp.Or(i.Error, "not active"), true
	}
	if text, err := json.Marshal(i); err == nil {
		e.Got = facts(text)
	}
	return e
}

// denied is an API's refusal in its own words.
type denied struct{ served }

func (d *denied) Error() string {
	if d.Asked != nil && d.Asked.Error != "" {
		return said(d.Description, d.served.Error)
	}
	return fmt.Sprintf("%s (%s)", d.Description, d.served.Error)
}

// revoke gives the refresh token back (RFC 7009), and all that came of it with it.
func (c *Client) revoke(ctx context.Context, p *party, v *visit, token *oauth2.Token) {
	form := url.Values{"token": {token.RefreshToken}, "client_id": {p.config.ClientID}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if response, err := c.recording(v).Do(request); err == nil { // what came of it stands in the journal
		response.Body.Close()
	}
}
