package federation

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

func TestSourceSettings(t *testing.T) {
	key, _ := newSigner()
	good := map[string]string{"url": "https://md.example.org/all.xml", "keys": key.pem()}
	if s, err := NewSource("edu-gain", Aggregate, good, "uid 0", noon); err != nil || s.Setting("apply") != "review" || s.Setting("max_validity") != "30d" || s.Setting("refresh") != "metadata" || s.mostValid() != 30*days {
		t.Errorf("%v %+v", err, s)
	}
	with := func(key, value string) map[string]string {
		m := map[string]string{}
		for k, v := range good {
			m[k] = v
		}
		if m[key] = value; value == "" {
			delete(m, key)
		}
		return m
	}
	for i, values := range []map[string]string{
		with("url", ""), with("url", "ftp://x"), with("url", "https://a:b@c/"), with("keys", ""), with("keys", "rubbish"), with("unsigned", "true"),
		with("max_validity", "1h"), with("refresh", "1m"), with("apply", "off"), with("state", "gone"), with("colour", "red"),
	} {
		var refused *sp.SettingError
		if _, err := NewSource("x", Aggregate, values, "", noon); !errors.As(err, &refused) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := NewSource("x", MDQ, with("url", "https://md.example.org/mdq?x=1"), "", noon); err == nil {
		t.Error("an MDQ server with a query is taken")
	}
	for _, name := range []string{"", "a b", "A", "-a", strings.Repeat("a", 41), "a\x00"} {
		if _, err := NewSource(name, Aggregate, good, "", noon); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
	if fmt.Sprint(retry(1), retry(2), retry(99)) != "10m0s 20m0s 6h0m0s" {
		t.Error(retry(1), retry(2), retry(99))
	}
}

// TestTrustChanges is that nothing which was believed for one key is handed out once another is pinned.
func TestTrustChanges(t *testing.T) {
	key, other := newSigner()
	w := newWorld(t)
	w.source("all", Aggregate, key)
	w.source("mdq", MDQ, key)
	w.web.set("/all", key.sign(t, group(until(14*days), entity("one", ""))))
	w.web.set(encoded, key.sign(t, one(until(14*days))))
	if code := w.refresh("all"); code != "" {
		t.Fatal(code)
	}
	find := func(source string) string {
		_, _, err := w.Find(t.Context(), source, "https://one.example/sp")
		if err == nil {
			return ""
		}
		code, _ := worded(err)
		return code
	}
	if find("all")+find("mdq") != "" {
		t.Fatal("not found")
	}
	set := func(values map[string]string) {
		t.Helper()
		for _, name := range []string{"all", "mdq"} {
			must(t, w.Store.Update(t.Context(), func(tx store.Tx) error {
				source, _, err := Sources.Get(tx, name)
				if err == nil {
					err = source.Change(values)
				}
				if err != nil {
					return err
				}
				return Sources.Put(tx, &source)
			}))
		}
	}
	set(map[string]string{"max_validity": "20d", "keys": key.pem()})
	if find("all")+find("mdq") != "" {
		t.Error("another setting makes the source be fetched again")
	}
	set(map[string]string{"keys": other.pem()})
	if a, b := find("all"), find("mdq"); a != CodeNotThere || b != metadata.CodeWrongKey {
		t.Errorf("MDC-05 another key is pinned: %q and %q", a, b)
	}
	if code := w.refresh("all"); code != metadata.CodeWrongKey || find("all") != CodeNotThere {
		t.Errorf("%q", code)
	}
	set(map[string]string{"keys": key.pem() + other.pem()})
	if code := w.refresh("all"); code+find("all")+find("mdq") != "" {
		t.Errorf("MDC-05 both keys, for a rollover of the source: %q", code)
	}
}
