package sampleapps

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// clientPage is what client.html shows.
type clientPage struct {
	App      head
	Issuer   string
	Kind     Kind
	Waits    bool   // for its own client id
	Partner  string // client id of a gateway's partner; empty: none registered
	Who      string // empty: nobody is signed in
	Told     []fact // of the ID token
	Person   []fact // what userinfo says
	Tokens   []fact
	Renews   bool // there is a refresh token
	Things   string
	Scope    string
	Rows     []Row
	Notice   notice
	Journal  []exchange
	Try      []string
	Redirect string // of the last sign-in
}

// front shows who is signed in, what was said, and what to try.
func (c *Client) front(w http.ResponseWriter, r *http.Request) {
	v := c.visits.of(w, r)
	defer v.mu.Unlock()
	c.show(w, http.StatusOK, v)
}

// fails shows why something could not be begun.
func (c *Client) fails(w http.ResponseWriter, v *visit, title string, err error) {
	v.notice = refusal(title, err)
	c.show(w, http.StatusBadGateway, v)
}

func (c *Client) show(w http.ResponseWriter, status int, v *visit) {
	page := clientPage{
		App: head{c.spec.Name, c.spec.Description, c.spec.Accent}, Issuer: c.issuer, Kind: c.spec.Kind,
		Waits: c.Credentials().ClientID == "", Things: c.spec.API.Things, Scope: c.spec.API.Scope,
		Rows: v.rows, Notice: v.notice, Journal: v.journal, Try: c.spec.Try,
	}
	if c.spec.Kind == KindGateway {
		page.Partner = c.signsIn().ClientID
	}
	if v.token != nil {
		page.Who, page.Told, page.Tokens = who(v.person), told(v.claims), tokens(v)
		page.Person = members(v.person)
		page.Renews, page.Redirect = v.token.RefreshToken != "", v.redirect
	}
	write(w, status, c.page, page)
}

func who(claims map[string]any) string {
	name, _ := claims["name"].(string)
	subject, _ := claims["sub"].(string)
	return cmp.Or(name, subject)
}

// told are the claims with times as people read them.
func told(claims map[string]any) []fact {
	list := members(claims)
	for i, one := range list {
		switch seconds, ok := claims[one.Name].(float64); {
		case ok && (one.Name == "iat" || one.Name == "exp" || one.Name == "auth_time"):
			list[i].Value += " (" + clock(time.Unix(int64(seconds), 0)) + ")"
		}
	}
	return list
}

// tokens are the facts of what the client holds.
func tokens(v *visit) []fact {
	scope, _ := v.token.Extra("scope").(string)
	list := []fact{
		{"Access token", cut(v.token.AccessToken) + " until " + clock(v.token.Expiry)},
		{"Scopes", strings.Join(strings.Fields(scope), ", ")},
	}
	switch {
	case v.token.RefreshToken == "":
		list = append(list, fact{"Refresh token", "none: the app did not ask for offline_access"})
	case v.ends != "":
		list = append(list, fact{"Refresh token", cut(v.token.RefreshToken) + " dies at " + v.ends + ", as the administrator set it"})
	default:
		list = append(list, fact{"Refresh token", cut(v.token.RefreshToken)})
	}
	return list
}
