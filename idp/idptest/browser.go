package idptest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const browserStep = patience // how long one action may take

// Browser is a real Chromium with a profile of its own. What a page writes as an error (console errors, uncaught
// exceptions, violations of the content security policy) fails the test at its end, unless Expect names it.
type Browser struct {
	Context  context.Context // for chromedp
	t        testing.TB
	mu       sync.Mutex
	problems []string
	expected []string
}

// NewBrowser starts Debian's Chromium for the length of the test, with the size of a desktop.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	Need(t, ToolChromium)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath("chromium"),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("headless", "new"),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.WSURLReadTimeout(patience),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	page, closePage := chromedp.NewContext(allocator)
	b := &Browser{Context: page, t: t}
	t.Cleanup(func() {
		chromedp.Cancel(page) // waits for Chromium's end, so that its profile can be removed
		closePage()
		stopAllocator()
		b.report()
	})
	if err := chromedp.Do(page); err != nil { // without a limit, which would be the limit of the whole browser
		t.Fatalf("start chromium: %v", err)
	}
	if err := chromedp.Listen(page, b.listen); err != nil {
		t.Fatal(err)
	}
	b.Do(call(audits.Enable, cdp.Empty{}))
	b.Desktop()
	return b
}

// Do does the actions one after the other; an error ends the test.
func (b *Browser) Do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ask(b, chromedp.Steps(actions...))
}

// ask does one action and returns its result.
func ask[T any](b *Browser, action chromedp.Action[T]) T {
	b.t.Helper()
	limit, cancel := context.WithTimeout(b.Context, browserStep)
	defer cancel()
	result, err := chromedp.Run(limit, action)
	if err != nil {
		b.Screenshot("failed")
		b.t.Fatalf("browser at %s: %v", b.URL(), err)
	}
	return result
}

// call makes an action of a command of the DevTools protocol.
func call[P any](command cdp.Command[P, cdp.Empty], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	})
}

// Open goes to an address and waits for the page.
func (b *Browser) Open(address string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(address))
}

// Click clicks the first visible element that the CSS selector finds.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.Do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Type writes text into the field that the CSS selector finds.
func (b *Browser) Type(selector, text string) {
	b.t.Helper()
	b.Do(chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// Upload chooses a file for the field that the CSS selector finds.
func (b *Browser) Upload(selector, file string) {
	b.t.Helper()
	b.Do(chromedp.SetUploadFiles(chromedp.CSS(selector), []string{file}, chromedp.NodeReady))
}

// WaitFor waits until the CSS selector finds something visible, on this page or on one that it leads to.
func (b *Browser) WaitFor(selector string) {
	b.t.Helper()
	b.Do(chromedp.WaitVisible(chromedp.CSS(selector)))
}

// Text returns the visible text of the first element that the CSS selector finds.
func (b *Browser) Text(selector string) string {
	b.t.Helper()
	return strings.TrimSpace(ask(b, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible)))
}

// URL is the address of the page; empty when the browser does not answer.
func (b *Browser) URL() string {
	limit, cancel := context.WithTimeout(b.Context, browserStep)
	defer cancel()
	address, err := chromedp.Run(limit, chromedp.Location())
	if err != nil {
		return ""
	}
	return address
}

// Fresh forgets every cookie, as if another person came with a browser of their own.
func (b *Browser) Fresh() {
	b.t.Helper()
	b.Do(call(network.ClearBrowserCookies, cdp.Empty{}))
}

// Keys presses keys where the focus is; the constants of chromedp/kb name those that write nothing.
func (b *Browser) Keys(keys string) {
	b.t.Helper()
	b.Do(chromedp.KeyEvent(keys))
}

// Texts returns the visible text of every element that the CSS selector finds, in the page's order.
func (b *Browser) Texts(selector string) []string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[[]string](fmt.Sprintf(
		`[...document.querySelectorAll(%q)].filter((e) => e.checkVisibility()).map((e) => e.innerText.trim())`, selector)))
}

// Desktop makes the window 1280 pixels wide.
func (b *Browser) Desktop() {
	b.t.Helper()
	b.Do(chromedp.EmulateViewport(1280, 900))
}

// Phone makes the window 390 pixels wide, with touch.
func (b *Browser) Phone() {
	b.t.Helper()
	b.Do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2)))
}

// Narrow makes the window 360 pixels wide, the least that every page must fit.
func (b *Browser) Narrow() {
	b.t.Helper()
	b.Do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2)))
}

// Dark sets whether the person prefers dark pages.
func (b *Browser) Dark(dark bool) {
	b.t.Helper()
	value := "light"
	if dark {
		value = "dark"
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}
	b.Do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}))
}

// JavaScript switches scripts on or off, from the next page on.
func (b *Browser) JavaScript(on bool) {
	b.t.Helper()
	b.Do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}))
}

// Wide returns by how many pixels the page is wider than the window: 0 when nothing scrolls sideways.
func (b *Browser) Wide() int {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
}

// Screenshot writes the whole page as name.png into the folder of the variable GATEHOUSE_SHOTS, else into the test's
// artifact folder, and returns the file's name.
func (b *Browser) Screenshot(name string) string {
	b.t.Helper()
	dir := os.Getenv("GATEHOUSE_SHOTS")
	if dir == "" {
		dir = b.t.ArtifactDir()
	}
	limit, cancel := context.WithTimeout(b.Context, browserStep)
	defer cancel()
	image, err := chromedp.Run(limit, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Logf("screenshot %s: %v", name, err)
		return ""
	}
	file := filepath.Join(dir, name+".png")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, image, 0o644); err != nil {
		b.t.Fatal(err)
	}
	return file
}

// Show makes a screenshot for eyes, if the variable GATEHOUSE_SHOTS says where it goes.
func (b *Browser) Show(name string) {
	b.t.Helper()
	if os.Getenv("GATEHOUSE_SHOTS") != "" {
		b.Screenshot(name)
	}
}

// Expect says that an error containing part is part of the test, such as the status of a page that is refused.
func (b *Browser) Expect(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, part)
}

// Problems returns what the pages complained about so far, without what was expected.
func (b *Browser) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var open []string
	for _, problem := range b.problems {
		if !slices.ContainsFunc(b.expected, func(part string) bool { return strings.Contains(problem, part) }) {
			open = append(open, problem)
		}
	}
	return open
}

func (b *Browser) report() {
	for _, problem := range b.Problems() {
		b.t.Errorf("browser: %s", problem)
	}
}

// listen collects complaints.
func (b *Browser) listen(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.complain("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			b.complain("console: %s", arguments(e.Args))
		}
	case *runtime.EventExceptionThrown:
		b.complain("exception: %s", exceptionText(e.ExceptionDetails))
	case *audits.EventIssueAdded:
		if csp := e.Issue.Details.ContentSecurityPolicyIssueDetails; csp != nil {
			b.complain("content security policy: %s blocked %q", csp.ViolatedDirective, csp.BlockedURL)
		}
	}
}

func (b *Browser) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

func arguments(args []*runtime.RemoteObject) string {
	var words []string
	for _, arg := range args {
		words = append(words, strings.Trim(string(arg.Value), `"`)+arg.Description)
	}
	return strings.Join(words, " ")
}

func exceptionText(details *runtime.ExceptionDetails) string {
	if details.Exception != nil {
		return details.Text + " " + details.Exception.Description
	}
	return details.Text
}
