package admin

import "testing"

// TestWaitingAppsAreCounted: the task says how many apps wait.
func TestWaitingAppsAreCounted(t *testing.T) {
	for n, want := range []string{"", "1 app waits for approval.", "2 apps wait for approval."} {
		list := tasks(&Summary{Pending: n})
		if got := len(list); got == 0 && want != "" || got != 0 && list[0].Text != want {
			t.Errorf("%d that wait: %+v, want %q", n, list, want)
		}
	}
}
