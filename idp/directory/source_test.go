package directory

import (
	"bytes"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"gatehouse/store"
	"gatehouse/store/bolt"
)

// assertions collects the values that a compiled filter compares with, which is all that a name may become.
func assertions(packet *ber.Packet) (values []string, shape string) {
	shape = string(rune('a' + packet.Tag))
	for i, child := range packet.Children {
		if len(child.Children) == 0 && (packet.Tag == ldap.FilterEqualityMatch && packet.ClassType == ber.ClassContext) {
			if i == 1 {
				values = append(values, string(child.Data.Bytes()))
			}
			continue
		}
		more, inner := assertions(child)
		values, shape = append(values, more...), shape+"("+inner+")"
	}
	return values, shape
}

// FuzzNameFilter: whatever is typed is a value that is compared with, and changes no other part of a filter.
func FuzzNameFilter(f *testing.F) {
	for _, seed := range []string{"mia", "*", "mia)(uid=*", "a*b", `\`, `\2a`, "mia\x00", "(|(uid=*))", "é", "\xff\xfe", "{name}", "a=b", "&", "!", " "} {
		f.Add(seed)
	}
	source := &Source{Kind: KindAD}
	plain, err := ldap.CompileFilter(source.nameFilter("mia"))
	if err != nil {
		f.Fatal(err)
	}
	_, want := assertions(plain)
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" || strings.Contains(name, namePlace) {
			return
		}
		packet, err := ldap.CompileFilter(source.nameFilter(name))
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		values, shape := assertions(packet)
		found := 0
		for _, value := range values {
			if value == name {
				found++
			}
		}
		if shape != want || found < 3 {
			t.Errorf("%q gives %s with %q", name, shape, values)
		}
	})
}

func TestLastingIDs(t *testing.T) {
	source := &Source{Kind: KindAD}
	guid := []byte{0x00, 0x2a, 0x28, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	if id := encodeID(guid); id != "hex:002a28ff0102030405060708090a0b0c" {
		t.Errorf("objectGUID: %s", id)
	}
	if filter := source.idFilter(encodeID(guid)); !strings.HasSuffix(filter, `(objectGUID=\00\2a\28\ff\01\02\03\04\05\06\07\08\09\0a\0b\0c))`) {
		t.Errorf("filter: %s", filter)
	}
	for _, raw := range []string{"b1f3", "hex:41", "\x00", "é"} {
		for _, other := range []string{"b1f3", "hex:41", "\x00", "é", "A"} {
			if (encodeID([]byte(raw)) == encodeID([]byte(other))) != (raw == other) {
				t.Errorf("%q and %q have one id", raw, other)
			}
		}
	}
	if filter := (&Source{Kind: KindLDAP}).idFilter("*)(uid=*"); strings.Contains(filter, "*)(uid=*") {
		t.Errorf("an id is part of the filter: %s", filter)
	}
}

func TestSourceSettings(t *testing.T) {
	good := map[string]string{"url": "ldaps://ldap.example.org", "base_dn": "dc=example,dc=org"}
	for _, c := range []struct{ key, value, want string }{
		{"url", "https://ldap.example.org", "written like ldaps://"}, {"url", "ldap://user:secret@ldap.example.org", "written like ldaps://"},
		{"url", "ldaps://ldap.example.org/dc=x", "written like ldaps://"}, {"url", "", "needs url and base_dn"}, {"base_dn", "people", "distinguished name"},
		{"user_filter", "(uid=mia)", "holds {name}"}, {"user_filter", "(uid={name}", "no LDAP filter"}, {"plain", "true", "ldaps:// is encrypted"},
		{"ca", "rubbish", "in PEM form"}, {"field.id", "entry UUID", "no name of an LDAP attribute"}, {"attributes", "a=b c", "no name of an LDAP attribute"},
		{"attributes", "department", "no pair"}, {"groups", `["a"`, "no JSON array"}, {"interval", "10s", "from 5m to 30d"}, {"max_removed", "0", "from 1 to 100"},
		{"state", "off", "active or paused"}, {"colour", "red", "no setting"},
	} {
		values := map[string]string{"url": good["url"], "base_dn": good["base_dn"]}
		values[c.key] = c.value
		if _, err := NewSource("corp", KindLDAP, values, "usr_1", time.Now()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: got %v, want %q", c.key, c.value, err, c.want)
		}
	}
	for _, name := range []string{"", "Corp", "-a", "a/b", strings.Repeat("a", 41)} {
		if _, err := NewSource(name, KindLDAP, good, "usr_1", time.Now()); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
}

// Lists of pairs come back as they were set, DNs and commas included.
func TestMappings(t *testing.T) {
	for _, value := range []string{"", "vpn=pms_1,staff=pms_2", `["cn=vpn,ou=groups,dc=example=pms_1","a, b=pms_2"]`} {
		list, err := ParseMappings(value, func(id string) (string, error) { return id, nil })
		if back := FormatMappings(list, func(id string) string { return id }); err != nil || back != value {
			t.Errorf("%q came back as %q: %v", value, back, err)
		}
	}
}

func TestServerMayNotSendWithoutEnd(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() { _, _ = theirs.Write(bytes.Repeat([]byte("x"), 100)) }()
	defer theirs.Close()
	c := &boundedConn{Conn: ours, left: 10}
	n, err := c.Read(make([]byte, 100))
	if _, again := c.Read(make([]byte, 1)); n != 10 || err != nil || !errors.Is(again, errTooMuch) {
		t.Errorf("%d, %v, then %v", n, err, again)
	}
}

// A source that failed three times is not asked for a while; then one who asks is let through, and the others wait for what comes.
func TestDeadServersAreNotAsked(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := &LDAP{Now: func() time.Time { return now }}
	failure := &SourceError{}
	for range downAfter {
		if l.down("corp", now) {
			t.Fatal("down too early")
		}
		l.note("corp", now, failure)
	}
	if !l.down("corp", now) || !l.anyDown(now) || l.down("other", now) {
		t.Error("it is asked again at once, or another one is not")
	}
	now = now.Add(downFor)
	if l.down("corp", now) || !l.down("corp", now) {
		t.Error("not exactly one is let through")
	}
	l.note("corp", now, errSeveral)
	if l.down("corp", now) || l.anyDown(now) {
		t.Error("it answered, and counts as down")
	}
}

// The time comes at once for a new source, then after its interval; two nodes do not both take one.
func TestSourcesAreDue(t *testing.T) {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "gatehouse.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d := New(s, func() time.Time { return now })
	d.LDAP = &LDAP{Now: d.now}
	put := func(name string, paused bool) {
		if err := s.Update(t.Context(), func(tx store.Tx) error {
			return AllSources.Put(tx, &Source{Name: name, URL: "ldaps://127.0.0.1:1", Interval: time.Hour, Paused: paused})
		}); err != nil {
			t.Fatal(err)
		}
	}
	put("corp", false)
	put("old", true)
	due := func(want string) {
		t.Helper()
		if names, err := d.DueSources(t.Context()); err != nil || strings.Join(names, ",") != want {
			t.Errorf("due: %q, %v, want %q", names, err, want)
		}
	}
	due("corp")
	due("")
	var failed *SourceError
	if _, err := d.Sync(t.Context(), "corp", SyncOptions{}); !errors.As(err, &failed) {
		t.Errorf("nobody listens there: %v", err)
	}
	due("")
	now = now.Add(5 * time.Minute) // after a failure
	due("corp")
}
