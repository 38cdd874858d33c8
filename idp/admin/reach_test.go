package admin

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// TestWhoOpens: each permitted person once, by whatever lets them in first, page by page, with what a click would do.
func TestWhoOpens(t *testing.T) {
	w := newWorld(t)
	must(t, w.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := directory.AllGroups.Add(tx, directory.Group{Name: "Sales"})
		return err
	}))
	id := w.app("benefits")
	for _, one := range []api.NewUser{{Name: "ana", Groups: []string{"Sales"}}, {Name: "ben", Groups: []string{"Sales"}}, {Name: "cy"}, {Name: "dan"}, {Name: "eve"}} {
		_, err := w.AddUser(t.Context(), socket, one)
		must(t, err)
	}
	_, err := w.SetApp(t.Context(), socket, id, map[string]string{"policy.permitted_users": "preauthorized", "policy.groups": "Sales", "policy.users": "ana,cy"})
	must(t, err)
	_, err = w.DisableUser(t.Context(), socket, "ben")
	must(t, err)
	w.grant("dan", id, testNow.Add(time.Hour))
	w.grant("cy", id, testNow.Add(time.Hour))
	var got []string
	ask := Reach{Address: netip.MustParseAddr("192.0.2.7"), Limit: 1}
	for pages := 0; ; pages++ {
		list, err := w.WhoOpens(t.Context(), "benefits", ask)
		must(t, err)
		for _, one := range list.Items {
			got = append(got, one.User.Name+" "+one.Through+" "+one.Outcome+" "+one.Reason)
		}
		if ask.After = list.Next; ask.After == "" {
			break
		}
		if pages > 10 {
			t.Fatal("the walk does not end")
		}
	}
	want := []string{"ana by name allow ", "ben group Sales refuse user_active", "cy by name allow ", "dan on request allow "}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	apps, err := w.WhatOpens(t.Context(), "dan", Reach{Address: ask.Address})
	if must(t, err); len(apps.Items) != 1 || apps.Items[0].App.ID != id || apps.Items[0].Until.IsZero() {
		t.Errorf("dan opens %+v", apps.Items)
	}
	if apps, err = w.WhatOpens(t.Context(), "eve", Reach{}); err != nil || len(apps.Items) != 0 {
		t.Errorf("eve opens %+v, %v", apps.Items, err)
	}
	for kind, metadata := range map[string]string{
		"service": `{"client_name":"service","grant_types":["client_credentials"]}`, "device": `{"client_name":"device","grant_types":["urn:ietf:params:oauth:grant-type:device_code","refresh_token"],"token_endpoint_auth_method":"none"}`,
		"exchange": `{"client_name":"exchange","grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]}`,
		"web":      `{"client_name":"web","redirect_uris":["https://web.example.org/cb"]}`,
	} {
		w.client(metadata, map[string]string{"policy.permitted_users": "all"})
		apps, err := w.WhatOpens(t.Context(), "eve", Reach{Address: ask.Address})
		if opens := slices.ContainsFunc(apps.Items, func(one api.Reach) bool { return one.App.Name == kind }); err != nil || opens != (kind == "web") {
			t.Errorf("eve opens %+v, %v", apps.Items, err)
		}
	}
	for _, bad := range []string{"x", "!!", "OTk5", "LTE6"} {
		_, err := w.WhoOpens(t.Context(), "benefits", Reach{After: bad})
		if public := asPublic(err); err != nil && (public == nil || public.Status != 400) {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
}

func (w *world) grant(user, app string, until time.Time) {
	w.t.Helper()
	must(w.t, w.store.Update(w.t.Context(), func(tx store.Tx) error {
		found, err := directory.ResolveUser(tx, user)
		if err != nil {
			return err
		}
		return grants.Accesses.Put(tx, &grants.Access{User: found.ID, App: app, From: testNow, Until: until})
	}))
}

// TestBadPolicyInput: a value that cannot hold refuses the whole change and names its field; nothing is half saved.
func TestBadPolicyInput(t *testing.T) {
	w := newWorld(t)
	id := w.app("benefits")
	bad := map[string][]string{
		"policy.permitted_users": {"some", "ALL"}, "policy.profiles": {"Nobody"}, "policy.permission_sets": {"Nobody"}, "policy.groups": {"Nobody"},
		"policy.users": {"nobody"}, "policy.approvers": {"nobody"}, "policy.consent": {"yes"}, "policy.ip_ranges": {"10.0.0.0/33", "10.0.0.1-9", "localhost"},
		"policy.ip_relaxation": {"no"}, "policy.min_level": {"highest", "5"}, "policy.on_low_level": {"ask"}, "policy.max_auth_age": {"-1h", "soon"},
		"policy.session_timeout": {"1s"}, "policy.refresh_token": {"lifetime:", "idle:never"}, "policy.not_before": {"tomorrow"}, "policy.not_after": {"2027-13-01"},
		"policy.scopes": {`["a"`}, "policy.attributes": {`[1]`},
	}
	before, err := w.App(t.Context(), id)
	must(t, err)
	for _, setting := range sp.Settings() {
		if len(setting.Key) < 7 || setting.Key[:7] != "policy." {
			continue
		}
		if len(bad[setting.Key]) == 0 {
			t.Errorf("%s has no case", setting.Key)
		}
		for _, value := range bad[setting.Key] {
			_, err := w.SetApp(t.Context(), socket, id, map[string]string{"description": "Changed.", setting.Key: value})
			if public := asPublic(err); public == nil || public.Status/100 != 4 || public.Field != setting.Key {
				t.Errorf("%s=%s: %#v", setting.Key, value, err)
			}
		}
	}
	_, err = w.SetApp(t.Context(), socket, id, map[string]string{"description": "Changed.", "policy.not_before": "2027-01-02", "policy.not_after": "2027-01-01"})
	refusal(t, err, 400, "bad_value", "policy.not_after")
	after, err := w.App(t.Context(), id)
	if must(t, err); !reflect.DeepEqual(before, after) || len(w.entries("app.set")) != 0 {
		t.Error("something was saved")
	}
}

// BenchmarkReach measures pages of "who can open this app" among 100,000 people: an app of one profile that 10 people have, and
// one for everybody.
func BenchmarkReach(b *testing.B) {
	w := newWorld(b)
	few, everybody := manyPeople(b, w, 100_000)
	ask := Reach{Address: netip.MustParseAddr("192.0.2.7"), Limit: 100}
	for name, id := range map[string]string{"ten people": few, "everybody": everybody} {
		b.Run(name, func(b *testing.B) {
			after := ""
			for b.Loop() {
				ask.After = after
				list, err := w.WhoOpens(b.Context(), id, ask)
				if err != nil || len(list.Items) != min(100, len(list.Items)) || len(list.Items) < 10 {
					b.Fatal(len(list.Items), err)
				}
				after = list.Next // the next page, and so through the whole directory
			}
		})
	}
}

func manyPeople(b *testing.B, w *world, n int) (few, everybody string) {
	var profile directory.Profile
	for begin := 0; begin < n; begin += 5000 {
		err := w.store.Update(b.Context(), func(tx store.Tx) error {
			var err error
			if begin == 0 {
				if profile, err = directory.AllProfiles.Add(tx, directory.Profile{Name: "Few"}); err != nil {
					return err
				}
			}
			for i := begin; i < begin+5000; i++ {
				user := directory.User{ID: fmt.Sprintf("usr_%026d", i), Name: fmt.Sprintf("person-%d", i), Profile: "prf_many"}
				if i%(n/10) == 0 {
					user.Profile = profile.ID
				}
				if err := directory.Users.Put(tx, &user); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	few, everybody = w.app("few"), w.app("everybody")
	if _, err := w.SetApp(b.Context(), socket, few, map[string]string{"policy.permitted_users": "preauthorized", "policy.profiles": "Few"}); err != nil {
		b.Fatal(err)
	}
	return few, everybody
}
