package directory

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hashLines are the sorted hashes of n passwords, each with what stands behind it.
func hashLines(n int, format, behind string) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(format, sha1.Sum(fmt.Appendf(nil, "stolen %d", i))) + strings.Repeat(behind, i%2)
	}
	slices.Sort(lines)
	return lines
}

func openList(t *testing.T, content []byte) (*Breached, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return OpenBreached(name)
}

// TestBreached finds every password of a list of hashes and of one in clear, and no other.
func TestBreached(t *testing.T) {
	const n = 5000
	var clear []string
	for i := range n {
		clear = append(clear, fmt.Sprintf("stolen %d", i))
	}
	for name, content := range map[string]string{
		"capitals":         strings.Join(hashLines(n, "%X", ""), "\n") + "\n",
		"small, no end":    strings.Join(hashLines(n, "%x", ""), "\n"),
		"counts":           strings.Join(hashLines(n, "%X:3", "0123456789"), "\n") + "\n",
		"counts and CRLF":  strings.Join(hashLines(n, "%X:3", "07"), "\r\n") + "\r\n",
		"clear":            strings.Join(clear, "\n") + "\n",
		"clear, CRLF":      strings.Join(clear, "\r\n"),
		"clear with blank": "\n\n" + strings.Join(clear, "\n\n"),
	} {
		list, err := openList(t, []byte(content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if (list.file == nil) != strings.HasPrefix(name, "clear") {
			t.Errorf("%s: taken for the other form", name)
		}
		for i := -50; i < n+50; i++ {
			held, err := list.Holds(fmt.Sprintf("stolen %d", i))
			if err != nil || held != (i >= 0 && i < n) {
				t.Fatalf("%s: password %d: %v, %v", name, i, held, err)
			}
		}
		if held, err := list.Holds(""); held || err != nil {
			t.Errorf("%s: the empty password: %v, %v", name, held, err)
		}
	}
	one, err := openList(t, []byte(hashLines(1, "%X", "")[0]))
	if err != nil {
		t.Fatal(err)
	}
	if held, err := one.Holds("stolen 0"); !held || err != nil {
		t.Errorf("a list of one: %v, %v", held, err)
	}
}

// TestBreachedRefuses: a file that would find nothing is no list.
func TestBreachedRefuses(t *testing.T) {
	lines := hashLines(5000, "%X", "")
	slices.Reverse(lines)
	if _, err := openList(t, []byte(strings.Join(lines, "\n"))); err == nil || !strings.Contains(err.Error(), "sort the file") {
		t.Errorf("out of order: %v", err)
	}
	if _, err := openList(t, bytes.Repeat([]byte("password\n"), maxPlainList/9+1)); err == nil || !strings.Contains(err.Error(), "as sorted SHA-1 hashes") {
		t.Errorf("too large: %v", err)
	}
	if _, err := OpenBreached(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is opened")
	}
	if list, err := openList(t, nil); err != nil {
		t.Errorf("an empty list: %v", err)
	} else if held, err := list.Holds("password"); held || err != nil {
		t.Errorf("an empty list holds something: %v", err)
	}
}

// TestPasswordIsNoName: names are what a guesser tries first.
func TestPasswordIsNoName(t *testing.T) {
	d := newDoor(t)
	user := User{Name: "ana.silva", DisplayName: "Ana Maria Silva", Email: "a.silva@example.org", GivenName: "Ana", Surname: "Silvestre"}
	for password, good := range map[string]bool{
		"ana.silva": false, "ANA.SILVA": false, "Ana Maria Silva": false, "anamariasilva": false, "a.silva@example.org": false, "AnaSilvestre": false,
		"a. silva@example.org": false, "gatehouse": false, "ana.silva and more": true, "        ": true,
	} {
		if err := d.dir.CheckPassword(t.Context(), password, &user); (err == nil) != good {
			t.Errorf("%q: %v", password, err)
		}
	}
}
