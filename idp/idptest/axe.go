package idptest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Axe finds accessibility faults with axe-core, which nobody here wrote.
type Axe struct {
	script string
}

// NewAxe installs axe-core from npm once; where that is not possible the test is left out.
func NewAxe(t testing.TB) *Axe {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(npmPackage(t, "axe-core"), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return &Axe{script: string(script)}
}

// axeFault is a rule that the page breaks, with the elements that break it.
type axeFault struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	} `json:"nodes"`
}

// axeRun keeps of the answer what a test needs. Minor and moderate findings are advice; the others stop somebody.
const axeRun = `axe.run(document, {resultTypes: ["violations"]%s}).then((r) => r.violations
  .filter((v) => v.impact === "serious" || v.impact === "critical"))`

// Faults are the serious and critical violations on the browser's page as it looks now, in words. With rules, only those
// are looked at.
func (a *Axe) Faults(b *Browser, rules ...string) []string {
	b.t.Helper()
	if !ask(b, chromedp.Evaluate[bool](`"axe" in window`)) {
		ask(b, chromedp.Evaluate[bool](a.script+"\n;true"))
	}
	only := ""
	if len(rules) > 0 {
		only = fmt.Sprintf(`, runOnly: ["%s"]`, strings.Join(rules, `", "`))
	}
	var words []string
	for _, fault := range ask(b, chromedp.Evaluate[[]axeFault](fmt.Sprintf(axeRun, only), chromedp.EvalAwaitPromise)) {
		for _, node := range fault.Nodes {
			words = append(words, fmt.Sprintf("%s (%s): %s\n  %s\n  %s", fault.ID, fault.Impact, fault.Help, node.HTML,
				strings.ReplaceAll(node.FailureSummary, "\n", " ")))
		}
	}
	return words
}
