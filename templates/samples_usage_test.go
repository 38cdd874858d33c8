package templates

import (
	"strings"
	"testing"
	"time"
)

func chart() BarChart {
	c := BarChart{Title: "Sign-ons per day, 30 days"}
	for i := range 30 {
		c.Bars = append(c.Bars, Bar{Day: moment.AddDate(0, 0, i-29), SignOns: i * i * 7 % 1300, Refused: i % 4 * 20})
	}
	return c
}

func grantRows() []IdleGrantRow {
	return []IdleGrantRow{
		{User: "ana", UserHref: "/admin/users/usr_a", App: "Payroll", AppHref: "/admin/apps/app_2", Kind: "named in the policy", Since: moment.Add(-100 * 24 * time.Hour)},
		{User: strings.Repeat("wolfeschlegelsteinhausen", 3), UserHref: "/admin/users/usr_c", App: longName, AppHref: "/admin/apps/app_9", Kind: "consent", Since: moment},
	}
}

func chainRows(problem string) []ChainRow {
	return []ChainRow{{Node: "main", First: 17, Last: 1_000_017, Count: 1_000_001, Head: strings.Repeat("5fe20a71", 8), Problem: problem}, {Node: "second"}}
}

func TestBarChart(t *testing.T) {
	c := BarChart{Bars: []Bar{{SignOns: 1, Refused: 0}, {SignOns: 900, Refused: 100}, {}, {SignOns: 999, Refused: 1}}}
	columns := c.Columns()
	if c.Highest() != 1000 || c.Width() != 80 {
		t.Errorf("highest %d, width %d", c.Highest(), c.Width())
	}
	for i, want := range []Column{{Height: 1, Y: 99, RefusedY: 99}, {Height: 90, Y: 10, RefusedHeight: 10}, {Y: 100, RefusedY: 100}, {Height: 99, Y: 1, RefusedHeight: 1}} {
		got := columns[i]
		if got.Height != want.Height || got.Y != want.Y || got.RefusedHeight != want.RefusedHeight || got.RefusedY != want.RefusedY || got.X != i*20+2 {
			t.Errorf("bar %d: %+v, want %+v", i, got, want)
		}
	}
	if none := (BarChart{}); none.First() != "" || none.Last() != "" || none.Width() == 0 {
		t.Errorf("no bars: %q, %q, %d", none.First(), none.Last(), none.Width())
	}
}
