package templates

import (
	"io"
	"time"
)

// BarChart is a bar for each day, sign-ons with refusals on top, and the same figures as a table for screen readers.
type BarChart struct {
	Title string
	Bars  []Bar // oldest first
}

// Bar is one day.
type Bar struct {
	Day              time.Time
	SignOns, Refused int // 0 or more
}

// Size of a drawing in its own units; the page stretches it to the width there is.
const (
	barWidth    = 20
	barGap      = 4
	chartHeight = 100
)

// Column is a bar as it is drawn: X, and top and height of its two parts.
type Column struct {
	Bar
	X, Y, Height, RefusedY, RefusedHeight int
}

// Width is that of the drawing.
func (c BarChart) Width() int { return max(len(c.Bars), 1) * barWidth }

// Height is that of the drawing.
func (c BarChart) Height() int { return chartHeight }

// BarWidth is that of one bar.
func (c BarChart) BarWidth() int { return barWidth - barGap }

// Highest is the most that happened on one day.
func (c BarChart) Highest() int {
	highest := 0
	for _, b := range c.Bars {
		highest = max(highest, b.SignOns+b.Refused)
	}
	return highest
}

// Columns places the bars. What happened at all is at least one unit high.
func (c BarChart) Columns() []Column {
	columns := make([]Column, len(c.Bars))
	highest := max(c.Highest(), 1)
	for i, b := range c.Bars {
		refused := scale(b.Refused, highest)
		height := min(scale(b.SignOns, highest), chartHeight-refused)
		columns[i] = Column{
			Bar: b, X: i*barWidth + barGap/2, Y: chartHeight - height, Height: height,
			RefusedY: chartHeight - height - refused, RefusedHeight: refused,
		}
	}
	return columns
}

func scale(n, highest int) int {
	if n <= 0 {
		return 0
	}
	return max(int(int64(n)*chartHeight/int64(highest)), 1)
}

// First and Last are the ends of the axis.
func (c BarChart) First() string { return c.end(0) }

// Last is the newest day.
func (c BarChart) Last() string { return c.end(len(c.Bars) - 1) }

func (c BarChart) end(i int) string {
	if i < 0 || i >= len(c.Bars) {
		return ""
	}
	return c.Bars[i].Day.Format("2 Jan")
}

// Share is one line of a list with bars; Percent is its part of the longest, 0 to 100.
type Share struct {
	Label   string
	Count   int
	Percent int
	Href    string
}

// IdleGrantRow is access that a person does not use. Kind says what it is, in words.
type IdleGrantRow struct {
	User, UserHref string
	App, AppHref   string
	Kind           string
	Since          time.Time
}

// UsageRow is one app in the list of usage.
type UsageRow struct {
	Name, Href       string
	State            string
	Unused           bool
	LastUsed         time.Time
	People30         int
	People90         int
	SignOns, Refused int
}

// UsagePage lists the connected apps, the least recently used first, and access that nobody uses.
type UsagePage struct {
	Shell
	Unused int // apps, in all pages
	Apps   []UsageRow
	Pager  Pager
	Grants []IdleGrantRow // the first ones; empty: none, or no right to see them
	More   bool           // there may be more of them
	Shown  bool           // the person may see the grants
}

// Usage writes the list of apps by use.
func Usage(w io.Writer, p UsagePage) error { return render(w, "usage", p) }

// ChainRow is one node's chain of audit entries. Problem is empty for one that is whole, or was not looked at yet.
type ChainRow struct {
	Node        string
	First, Last uint64
	Count       uint64
	Head        string
	Problem     string
}

// AuditVerifyPage says whether the audit is whole. Its form is a GET of `head`.
type AuditVerifyPage struct {
	Shell
	Head     string // as typed
	Whole    bool
	Problem  string // about the kept head
	Late     bool   // it took too long for a page; Chains is empty
	Chains   []ChainRow
	Compared bool // a head was given
	Errors   Errors
}

// AuditVerify writes whether the audit is whole.
func AuditVerify(w io.Writer, p AuditVerifyPage) error { return render(w, "audit_verify", p) }
