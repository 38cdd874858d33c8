package federation

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/sp"
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
	for _, name := range []string{"", "a b", "A", "-a", strings.Repeat("a", 41), "a\x00"} {
		if _, err := NewSource(name, Aggregate, good, "", noon); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
	if fmt.Sprint(retry(1), retry(2), retry(99)) != "10m0s 20m0s 6h0m0s" {
		t.Error(retry(1), retry(2), retry(99))
	}
}
