package sampleapps

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// signIn sends the browser to the identity provider. A portal comes here too, with its issuer and perhaps a name (OpenID Connect
// Core 1.0, section 4); another issuer is none of ours.
func (c *Client) signIn(w http.ResponseWriter, r *http.Request) {
	v := c.visits.of(w, r)
	defer v.mu.Unlock()
	if issuer := r.FormValue("iss"); issuer != "" && issuer != c.issuer {
		c.fails(w, v, "The sign-in was not begun", fmt.Errorf("%s is not the provider that this app trusts", issuer))
		return
	} else if issuer != "" {
		v.note(exchange{From: "Gatehouse", To: c.spec.Name, Method: r.Method, Path: r.URL.Path, Sent: query(r.URL.Query()), Status: "begin, please"})
	}
	redirect, err := c.listens(v)
	if err != nil {
		c.fails(w, v, "The sign-in was not begun", err)
		return
	}
	p, err := c.provider(r.Context(), c.signsIn(), redirect)
	if err != nil {
		c.fails(w, v, "The sign-in was not begun", err)
		return
	}
	v.redirect, v.state, v.nonce, v.verifier = redirect, rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	options := []oauth2.AuthCodeOption{oidc.Nonce(v.nonce), oauth2.S256ChallengeOption(v.verifier)}
	if hint := r.FormValue("login_hint"); hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", hint))
	}
	address := p.config.AuthCodeURL(v.state, options...)
	if u, err := url.Parse(address); err == nil {
		v.note(exchange{From: "Your browser", To: "Gatehouse", Method: http.MethodGet, Path: u.Path, Sent: query(u.Query()), Status: "sign-in, consent"})
	}
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// listens is where the answer of the next sign-in goes: of a phone a port that is opened for it alone.
func (c *Client) listens(v *visit) (string, error) {
	v.hangUp()
	if c.spec.Kind != KindNative {
		return c.callbackURI(), nil
	}
	var err error
	v.phone, err = c.openLoopback(v)
	if err != nil {
		return "", err
	}
	return v.phone.redirect, nil
}

// callback takes the answer of a sign-in.
func (c *Client) callback(w http.ResponseWriter, r *http.Request) {
	v := c.visits.of(w, r)
	defer v.mu.Unlock()
	c.answered(r, v)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// answered exchanges the code for tokens, and leaves what came of it in the visit.
func (c *Client) answered(r *http.Request, v *visit) {
	values := r.URL.Query()
	sent := exchange{From: "Your browser", To: c.spec.Name, Method: r.Method, Path: r.URL.Path, Sent: query(values), Status: "the answer"}
	if v.phone != nil {
		sent.Path = v.redirect
	}
	v.note(sent)
	err := c.accept(r.Context(), v, values)
	if err != nil {
		v.forget(refusal("You are not signed in", err))
		return
	}
	v.notice = notice{Title: "You are signed in", Text: "The code was exchanged for tokens, the ID token’s signature, audience and nonce were checked, and userinfo said who you are."}
}

// accept checks the answer (RFC 6749, 4.1.2; RFC 9207) and redeems its code.
func (c *Client) accept(ctx context.Context, v *visit, values url.Values) error {
	state, nonce, verifier := v.state, v.nonce, v.verifier
	v.state = "" // good once
	switch {
	case state == "" || values.Get("state") != state:
		return errors.New("the answer belongs to no sign-in that began here: begin again")
	case values.Get("iss") != c.issuer:
		return fmt.Errorf("the answer says that it comes from %q", values.Get("iss"))
	case values.Get("error") != "":
		return &oauth2.RetrieveError{ErrorCode: values.Get("error"), ErrorDescription: values.Get("error_description")}
	}
	p, err := c.provider(ctx, c.signsIn(), v.redirect)
	if err != nil {
		return err
	}
	token, err := p.config.Exchange(c.spoken(ctx, v), values.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return err
	}
	raw, _ := token.Extra("id_token").(string)
	told, err := p.provider.Verifier(&oidc.Config{ClientID: p.config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return err
	}
	if told.Nonce != nonce {
		return errors.New("the ID token answers another sign-in")
	}
	v.claims = nil
	if err := told.Claims(&v.claims); err != nil {
		return err
	}
	v.token, v.idToken, v.rows = token, raw, nil
	if err := c.asksWho(ctx, p, v); err != nil {
		return err
	}
	return c.asksEnd(ctx, p, v)
}

// asksWho reads what the scopes tell about the person, which the ID token does not repeat (OpenID Connect Core 1.0, 5.3).
func (c *Client) asksWho(ctx context.Context, p *party, v *visit) error {
	info, err := p.provider.UserInfo(c.spoken(ctx, v), oauth2.StaticTokenSource(v.token))
	if err != nil {
		return err
	}
	v.person = nil
	return info.Claims(&v.person)
}

// spoken makes oauth2 use an HTTP client that writes the journal.
func (c *Client) spoken(ctx context.Context, v *visit) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, c.recording(v))
}

// renew exchanges the refresh token now.
func (c *Client) renew(w http.ResponseWriter, r *http.Request) {
	v := c.visits.of(w, r)
	defer v.mu.Unlock()
	if v.token == nil || v.token.RefreshToken == "" {
		v.notice = notice{Bad: true, Title: "There is nothing to renew", Text: "This app holds no refresh token.", Next: "Sign in first."}
	} else if err := c.refresh(r.Context(), v); err != nil {
		v.notice = refusal("The tokens were not renewed", err)
	} else {
		v.notice = notice{Title: "The tokens are new", Text: "The refresh token before is good no longer: it works once."}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (c *Client) refresh(ctx context.Context, v *visit) error {
	p, err := c.provider(ctx, c.signsIn(), v.redirect)
	if err != nil {
		return err
	}
	token, err := p.config.TokenSource(c.spoken(ctx, v), &oauth2.Token{RefreshToken: v.token.RefreshToken}).Token()
	if err != nil {
		return err
	}
	v.token = token
	return c.asksEnd(ctx, p, v)
}

// signOut ends the sign-in here and, for who signed in with OpenID Connect, at the identity provider. A phone gives its tokens back.
func (c *Client) signOut(w http.ResponseWriter, r *http.Request) {
	v := c.visits.of(w, r)
	defer v.mu.Unlock()
	idToken, token := v.idToken, v.token
	v.forget(notice{Title: "You are signed out of " + c.spec.Name})
	next := "/"
	if p, err := c.provider(r.Context(), c.signsIn(), ""); err == nil && token != nil {
		switch c.spec.Kind {
		case KindNative:
			c.revoke(r.Context(), p, v, token)
		case KindWeb, KindTile:
			ask := url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {c.at("signed-out")}}
			v.note(exchange{From: "Your browser", To: "Gatehouse", Method: http.MethodGet, Path: "/oauth/logout", Sent: query(ask), Status: "sign out everywhere"})
			next = p.EndSession + "?" + ask.Encode()
		}
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// signedOut is where the identity provider sends people back to.
func (c *Client) signedOut(w http.ResponseWriter, r *http.Request) {
	v := c.visits.of(w, r)
	defer v.mu.Unlock()
	v.forget(notice{Title: "You are signed out", Text: "Here, at Gatehouse, and in the other apps that it could tell."})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// told takes a logout token from the identity provider (OpenID Connect Back-Channel Logout 1.0, section 2.6).
func (c *Client) told(w http.ResponseWriter, r *http.Request) {
	p, err := c.provider(r.Context(), c.signsIn(), "")
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	token, err := p.provider.Verifier(&oidc.Config{ClientID: p.config.ClientID}).Verify(r.Context(), r.PostFormValue("logout_token"))
	var claims struct {
		Session string                    `json:"sid"`
		Events  map[string]map[string]any `json:"events"`
		Nonce   string                    `json:"nonce"`
	}
	if err == nil {
		err = token.Claims(&claims)
	}
	if _, logout := claims.Events["http://schemas.openid.net/event/backchannel-logout"]; err != nil || !logout || claims.Nonce != "" {
		http.Error(w, "This is no logout token.", http.StatusBadRequest)
		return
	}
	c.visits.leave(claims.Session, notice{Title: "You were signed out", Text: "Gatehouse told this app, from server to server, that your session is over: you signed out there or withdrew the app, or it was blocked."})
	w.Header().Set("Cache-Control", "no-store")
}

// refusal says in words why something was refused.
func refusal(title string, err error) notice {
	n := notice{Bad: true, Title: title, Text: sentence(err.Error()), Next: "Try again, or sign in again."}
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode != "" {
		n.Text = said(refused.ErrorDescription, refused.ErrorCode)
		n.Next = "The code in square brackets finds the entry in the console’s audit."
		if refused.ErrorCode == "invalid_grant" {
			n.Next = "Sign in again: these tokens are over. " + n.Next
		}
	}
	return n
}

// said quotes a refusal of the identity provider, with its error code.
func said(description, code string) string {
	return fmt.Sprintf("Gatehouse says: “%s” (%s)", description, code)
}

// sentence makes one of an error's words.
func sentence(words string) string {
	first, size := utf8.DecodeRuneInString(words)
	words = string(unicode.ToUpper(first)) + words[size:]
	if strings.ContainsAny(words[len(words)-1:], ".)") {
		return words
	}
	return words + "."
}

// clock writes a time of today.
func clock(t time.Time) string { return t.Local().Format("15:04:05") }
