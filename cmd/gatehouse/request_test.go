package main

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gatehouse/idp/api"
)

// askInPortal is the script command `ask VAR NAME PASSWORD APP SPAN WHY`: a person signs in to the portal and asks for an app. The
// id of the request is in $VAR afterwards.
func askInPortal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 6 {
		ts.Fatalf("usage: ask VAR NAME PASSWORD APP SPAN WHY")
	}
	client := api.OverSocket(ts.Getenv("GATEHOUSE_DATA"))
	app, err := client.App(context.Background(), args[3])
	ts.Check(err)
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser := &http.Client{Jar: jar}
	for _, step := range []struct {
		path, rests string
		form        url.Values
	}{
		{"/login", "/", url.Values{"name": {args[1]}, "password": {args[2]}}},
		{"/ask/" + app.ID, "/ask", url.Values{"span": {args[4]}, "why": {args[5]}}},
	} {
		answer, err := browser.PostForm(ts.Getenv("BASE_URL")+step.path, step.form)
		ts.Check(err)
		ts.Check(answer.Body.Close())
		if answer.StatusCode != http.StatusOK || answer.Request.URL.Path != step.rests {
			ts.Fatalf("%s rests at %s with %d", step.path, answer.Request.URL, answer.StatusCode)
		}
	}
	list, err := client.Requests(context.Background(), api.RequestQuery{User: args[1], Limit: 1})
	ts.Check(err)
	ts.Setenv(args[0], list.Items[0].ID)
}

func TestParseEnd(t *testing.T) {
	for text, want := range map[string]time.Time{
		"":                     {},
		"2027-01-31":           time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC),
		"2027-01-31T18:00:00Z": time.Date(2027, 1, 31, 18, 0, 0, 0, time.UTC),
	} {
		if got, err := parseEnd("--until", text); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if got, err := parseEnd("--until", "7d"); err == nil {
		t.Errorf("a period is a moment: %v", got)
	}
}
