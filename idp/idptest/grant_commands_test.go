package idptest

import (
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// command runs the command line and returns what it prints and how it ends.
func (s *Server) command(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), Binary(t), args...)
	var out, problems bytes.Buffer
	c.Stdout, c.Stderr = &out, &problems
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), problems.String(), c.ProcessState.ExitCode()
}

// TestGrantCommands lists and ends what people gave to apps on the command line, over the socket and with an app's own token.
func TestGrantCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "olga", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	rp := w.apiClient(t, "tools", apiScope, nil)
	access := w.apiToken(t, rp, "olga", apiScope)
	grant := w.grantOf(t, rp)
	if out, problems, status := w.command(t, "grant", "tokens", "--data", w.Dir, "--app", "tools"); status != 0 || !strings.Contains(out, "USED") || !strings.Contains(out, grant) || !strings.Contains(out, "olga") || !strings.Contains(out, "directory.write") {
		t.Errorf("%d %s%s", status, out, problems)
	}
	if out, _, status := w.command(t, "grant", "tokens", "--data", w.Dir, "--user", "bob"); status != 0 || strings.Contains(out, grant) {
		t.Errorf("%d %s", status, out)
	}
	if out, _, status := w.command(t, "grant", "tokens", "--data", w.Dir, "--output", "json"); status != 0 || !strings.Contains(out, `"id": "`+grant+`"`) {
		t.Errorf("%d %s", status, out)
	}
	if out, problems, status := w.command(t, "user", "show", "bob", "--server", w.URL, "--token", access); status != 0 || !strings.Contains(out, "bob@example.org") {
		t.Errorf("with the app's token: %d %s%s", status, out, problems)
	}
	if _, problems, status := w.command(t, "grant", "revoke", grant, "--server", w.URL, "--token", access); status != 1 || !strings.Contains(problems, "scopes of this token do not allow this") {
		t.Errorf("the app's token ends grants: %d %s", status, problems)
	}
	if _, problems, status := w.command(t, "grant", "revoke", grant, "--data", w.Dir); status != 0 {
		t.Errorf("%d %s", status, problems)
	}
	if reply := rp.Call("GET", "/api/v1/users", access, ""); reply.Status != http.StatusUnauthorized {
		t.Errorf("the token outlived its grant: %d %s", reply.Status, reply.Raw)
	}
	if _, problems, status := w.command(t, "user", "show", "bob", "--server", w.URL, "--token", access); status != 1 || !strings.Contains(problems, "revoked") {
		t.Errorf("with a revoked token: %d %s", status, problems)
	}
	if out, _, status := w.command(t, "grant", "tokens", "--data", w.Dir, "--app", "tools"); status != 0 || strings.Contains(out, grant) {
		t.Errorf("%d %s", status, out)
	}
	if _, problems, status := w.command(t, "grant", "revoke", "gnt_none", "--data", w.Dir); status != 1 || !strings.Contains(problems, "gnt_none") {
		t.Errorf("%d %s", status, problems)
	}
}
