package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/child"
	"github.com/baton-transfers/baton/internal/testenv"
)

// noBrowser is the message if the page tests can't run.
const noBrowser = "no Chromium: install one (Debian's package chromium-headless-shell; " +
	"`make test` does it where it can), or name its program in BATON_CHROMIUM"

// The window of every browser, in CSS pixels.
const windowWidth, windowHeight = 1280, 800

// browserProgram returns the browser's path, or "" if there is none. The one without windows comes first: it takes half
// the processor time.
var browserProgram = sync.OnceValue(func() string {
	for _, name := range []string{os.Getenv("BATON_CHROMIUM"), "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
})

// chromium is the shared browser process. The first test that needs it starts it; endChromium ends it.
var (
	chromium    = sync.OnceValues(startChromium)
	endChromium = func() {}
)

// startChromium returns the context from which tabs are opened.
func startChromium() (context.Context, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browserProgram()), chromedp.ModifyCmdFunc(child.Bind), chromedp.WindowSize(windowWidth, windowHeight),
		chromedp.Flag("headless", "new"), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-quic", true),
		// Disable rasterization on the GPU, which is emulated in software here, and the address bar's own pages.
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-gpu-rasterization", true),
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,WebUIOmniboxPopup,WebUIOmniboxAimPopup"))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {})) // events that this library doesn't know
	endChromium = func() {
		cancel()
		end()
	}
	if err := chromedp.Do(ctx); err != nil {
		endChromium()
		return nil, fmt.Errorf("start %s: %w", browserProgram(), err)
	}
	return ctx, nil
}

// visitor is a person at a browser: a tab with its own cookies. Any complaint of the browser fails the test.
type visitor struct {
	t    *testing.T
	name string
	// site is the address that paths are relative to.
	site string
	tab  context.Context //nolint:containedctx // chromedp's tabs are contexts

	// leave closes the browser and fails the test for its complaints. The test's end calls it too.
	leave func()
	// reconnecting is set while messages about a lost connection are no complaint.
	reconnecting atomic.Bool
	// scriptless is set while the browser runs no scripts: then no listener receives a click.
	scriptless bool
	mutex      sync.Mutex
	complaints []string
}

// openBrowser opens a browser with its own cookies. It skips the test if there is no browser, and fails it in CI.
func openBrowser(t *testing.T, name, site string) *visitor {
	t.Helper()
	if browserProgram() == "" {
		if os.Getenv("CI") != "" {
			require.Fail(t, noBrowser)
		}
		t.Skip(noBrowser)
	}
	browser, err := chromium()
	require.NoError(t, err)
	return openTab(browser, t, name, site, chromedp.WithNewBrowserContext())
}

// anotherTab opens one more tab in the visitor's browser, with the same cookies.
func (v *visitor) anotherTab(name string) *visitor {
	v.t.Helper()
	return openTab(v.tab, v.t, name, v.site)
}

func openTab(from context.Context, t *testing.T, name, site string, options ...chromedp.ContextOption) *visitor {
	t.Helper()
	v := &visitor{t: t, name: name, site: site}
	tab, leave := chromedp.NewContext(from, append(options, chromedp.WithListener(v.notice))...)
	v.tab = tab
	v.leave = sync.OnceFunc(func() { //nolint:contextcheck // the tab's own
		v.account()
		leave()
	})
	t.Cleanup(v.leave)
	require.NoError(t, chromedp.Do(tab, chromedp.EmulateViewport(windowWidth, windowHeight))) // the tab lives as long as this context
	_, err := chromedp.Call(tab, audits.Enable, cdp.Empty{})
	require.NoError(t, err)
	_, err = chromedp.Call(tab, emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{Locale: "en-GB"})
	require.NoError(t, err)
	return v
}

// notice records a complaint of the browser.
func (v *visitor) notice(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var words []string
			for _, argument := range e.Args {
				words = append(words, cmp.Or(strings.Trim(string(argument.Value), `"`), argument.Description))
			}
			v.complain("console: " + strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			text += " " + thrown.Description
		}
		v.complain(fmt.Sprintf("exception: %s (%s:%d)", text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber))
	case *browserlog.EventEntryAdded:
		if e.Entry.Level == browserlog.EntryLevelError && e.Entry.Source != browserlog.EntrySourceNetwork { // responses are checked separately
			v.complain(fmt.Sprintf("%s: %s (%s:%d)", e.Entry.Source, e.Entry.Text, e.Entry.URL, e.Entry.LineNumber))
		}
	case *audits.EventIssueAdded:
		if policy := e.Issue.Details.ContentSecurityPolicyIssueDetails; policy != nil {
			v.complain(fmt.Sprintf("content security policy: %s forbids %s %s", policy.ViolatedDirective, policy.ContentSecurityPolicyViolationType, policy.BlockedURL))
		}
	case *network.EventResponseReceived:
		// A page with a status of 4xx is a refusal; a missing asset is a mistake.
		page := e.Type == network.ResourceTypeDocument || e.Type == network.ResourceTypeXHR || e.Type == network.ResourceTypeFetch || e.Type == network.ResourceTypeEventSource
		if e.Response.Status >= 500 || (e.Response.Status >= 400 && !page) {
			v.complain(fmt.Sprintf("%s answered %d", e.Response.URL, e.Response.Status))
		}
	}
}

// lost matches the console messages about a lost connection: of htmx for a stream (its error is an event) and for a
// request, and of the Temporal Web UI for its codec server.
var lost = []string{"console: [object Event]", "htmx:sendError", "htmx:afterRequest", "Failed to fetch"}

func (v *visitor) complain(what string) {
	if v.reconnecting.Load() && slices.ContainsFunc(lost, func(word string) bool { return strings.Contains(what, word) }) {
		return
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.complaints = append(v.complaints, what)
}

// account fails the test for the browser's complaints, and shows the page that a failed test has reached.
func (v *visitor) account() {
	v.mutex.Lock()
	complaints := slices.Compact(slices.Clone(v.complaints))
	v.mutex.Unlock()
	if len(complaints) > 0 {
		v.t.Errorf("The browser of %s complains:\n%s", v.name, strings.Join(complaints, "\n"))
	}
	if !v.t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(v.tab, testenv.Patience)
	defer cancel()
	where, _ := chromedp.Run(ctx, chromedp.Location())
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	v.t.Logf("%s is at %s and sees:\n%s", v.name, where, text)
	if snapshot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
		file := filepath.Join(v.t.ArtifactDir(), v.name+".png")
		if err := os.WriteFile(file, snapshot, 0o600); err == nil {
			v.t.Logf("A picture of it: %s (kept with go test -artifacts)", file)
		}
	}
}

// bounded returns a context for one step in the browser.
func (v *visitor) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(v.tab, testenv.Patience)
}

// do runs steps in the browser.
func (v *visitor) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	ctx, cancel := v.bounded()
	defer cancel()
	require.NoError(v.t, chromedp.Do(ctx, steps...), "%s: %s", v.name, what)
}

// goes opens the page at a path or an address.
func (v *visitor) goes(path string) {
	v.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = v.site + path
	}
	ctx, cancel := v.bounded()
	defer cancel()
	err := chromedp.Do(ctx, chromedp.Navigate(path))
	if err != nil && strings.Contains(err.Error(), "net::ERR_SOCKET_NOT_CONNECTED") {
		// The browser had connected in advance, and the server has closed that connection by now. A person reloads.
		err = chromedp.Do(ctx, chromedp.Navigate(path))
	}
	require.NoError(v.t, err, "%s: opens %s", v.name, path)
}

// at returns the path and query of the open page.
func (v *visitor) at() string {
	v.t.Helper()
	return ask[string](v, `location.pathname + location.search`)
}

// ask evaluates an expression in the page, bypassing the page's content policy.
func ask[T any](v *visitor, expression string) T {
	v.t.Helper()
	ctx, cancel := v.bounded()
	defer cancel()
	answer, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(v.t, err, "%s asks the page for %.100s", v.name, expression)
	return answer
}

// holds reports whether an expression is true in the page. It is false while the page is being left.
func (v *visitor) holds(expression string) bool {
	ctx, cancel := v.bounded()
	defer cancel()
	answer, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
	return err == nil && answer
}

// waits polls until an expression is true in the page.
func (v *visitor) waits(what, expression string) {
	v.t.Helper()
	waitFor(v.t, testenv.Patience, v.name+" waits: "+what, func() bool { return v.holds(expression) })
}

// showing is the expression that a text is visible in an element that a CSS selector finds.
func showing(selector, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%s)].some(e => e.innerText.replace(/\s+/g, " ").includes(%s))`, quoted(selector), quoted(text))
}

func quoted(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err) // strings have a JSON form
	}
	return string(encoded)
}

// sees waits until each text is visible.
func (v *visitor) sees(texts ...string) {
	v.t.Helper()
	v.seesIn("body", texts...)
}

// seesIn waits until each text is visible in an element that a CSS selector finds.
func (v *visitor) seesIn(selector string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		v.waits(fmt.Sprintf("%q in %s", text, selector), showing(selector, text))
	}
}

// seesNowhere requires that none of the texts is in the page, visible or not.
func (v *visitor) seesNowhere(texts ...string) {
	v.t.Helper()
	page := ask[string](v, `document.documentElement.outerHTML`)
	for _, text := range texts {
		require.NotContains(v.t, page, text, "in the page of %s", v.name)
	}
}

// control is an element found as assistive technology finds it: by role and name.
type control struct {
	node cdp.BackendNodeID
	name string
}

// find finds the first control of a role whose name equals the given one, or else contains it.
func (v *visitor) find(role, name string) (control, bool) {
	ctx, cancel := v.bounded()
	defer cancel()
	document, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: "document"})
	if err != nil || document.Result == nil {
		return control{}, false // the page is being left
	}
	found, err := chromedp.Call(ctx, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{ObjectID: document.Result.ObjectID, Role: role})
	if err != nil {
		return control{}, false
	}
	var near control
	for _, node := range found.Nodes {
		var its string
		if node.Ignored || node.Name == nil || json.Unmarshal(node.Name.Value, &its) != nil {
			continue
		}
		c := control{node: node.BackendDOMNodeID, name: its}
		switch {
		case its == name:
			return c, true
		case near.node == 0 && strings.Contains(its, name):
			near = c
		}
	}
	return near, near.node != 0
}

// with calls a JavaScript function on a control, as `this`.
func with[T any](v *visitor, c control, function string, arguments ...any) (T, error) {
	ctx, cancel := v.bounded()
	defer cancel()
	var none T
	resolved, err := chromedp.Call(ctx, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: c.node})
	if err != nil {
		return none, fmt.Errorf("it is gone: %w", err)
	}
	return chromedp.Run(ctx, chromedp.CallFunctionOn[T](function, func(p *runtime.CallFunctionOnParams) { p.ObjectID = resolved.Object.ObjectID }, arguments...))
}

// finds waits for a control that a JavaScript function accepts, and returns it.
func (v *visitor) finds(role, name, what, accept string, arguments ...any) control {
	v.t.Helper()
	var found control
	waitFor(v.t, testenv.Patience, fmt.Sprintf("%s waits for the %s %q, %s", v.name, role, name, what), func() bool {
		c, there := v.find(role, name)
		if !there {
			return false
		}
		fits, err := with[bool](v, c, accept, arguments...)
		found = c
		return err == nil && fits
	})
	return found
}

// seesControl waits until there is a control of that role and name.
func (v *visitor) seesControl(role, name string) {
	v.t.Helper()
	v.finds(role, name, "there", `function() { return true }`)
}

// seesDisabled waits until there is a disabled control of that role and name.
func (v *visitor) seesDisabled(role, name string) {
	v.t.Helper()
	v.finds(role, name, "disabled", `function() { return this.matches(':disabled') || this.getAttribute('aria-disabled') === 'true' }`)
}

// untilNone waits until there is no control of that role and name.
func (v *visitor) untilNone(role, name string) {
	v.t.Helper()
	waitFor(v.t, testenv.Patience, fmt.Sprintf("%s waits until the %s %q is gone", v.name, role, name), func() bool {
		_, there := v.find(role, name)
		return !there && v.holds("document.readyState === 'complete'")
	})
}

// place returns a point in the window where the control can be clicked. No other element covers it there.
const place = `function() {
	this.scrollIntoView({block: 'center', behavior: 'instant'});
	const box = this.getClientRects()[0];
	if (!box || this.matches(':disabled') || this.getAttribute('aria-disabled') === 'true') return [];
	const x = box.left + box.width / 2, y = box.top + box.height / 2, there = document.elementFromPoint(x, y);
	const mine = e => e && (e === there || e.contains(there));
	return mine(this) || [...(this.labels || [])].some(mine) ? [x, y] : [];
}`

// watched makes the page record whether the next click reaches its control. If the page changes between the look-up
// and the click, the control moves, and the click reaches another element or none.
const watched = `function() {
	const control = this, same = e => e === control || (e.outerHTML === control.outerHTML);
	window.clickCame = false;
	const came = ({target}) => {
		for (let e = target; e; e = e.parentElement) {
			if (same(e) || (e.matches('label') && e.control && same(e.control))) window.clickCame = true;
		}
	};
	document.addEventListener('click', came, {capture: true, once: true});
	return true;
}`

// clicks presses the control of that role and name with the mouse once it can be clicked. It repeats a click that
// did not reach the control.
func (v *visitor) clicks(role, name string) {
	v.t.Helper()
	waitFor(v.t, testenv.Patience, fmt.Sprintf("%s waits to click the %s %q", v.name, role, name), func() bool {
		c, there := v.find(role, name)
		if !there {
			return false
		}
		if watching, err := with[bool](v, c, watched); err != nil || !watching {
			return false
		}
		at, err := with[[]float64](v, c, place)
		if err != nil || len(at) == 0 {
			return false
		}
		v.do("clicks "+name, chromedp.MouseClickXY(at[0], at[1]))
		return v.scriptless || !v.holds(`window.clickCame === false`) // a page that the click has left does not report this
	})
}

// types replaces the text of the field of that role (textbox, searchbox, spinbutton, combobox) and name.
func (v *visitor) types(role, name, text string) {
	v.t.Helper()
	field := v.finds(role, name, "to type", `function() { this.focus(); this.select(); return document.activeElement === this }`)
	v.do("types", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
	now, err := with[string](v, field, `function() { return this.value }`)
	require.NoError(v.t, err)
	require.Equal(v.t, text, now, "what %s typed into %q", v.name, name)
}

// chooses selects an option, by its text, in the list of that name.
func (v *visitor) chooses(name, option string) {
	v.t.Helper()
	v.finds("combobox", name, "with the option "+option, `function(text) {
		const option = [...this.options].find(o => o.text.trim() === text);
		if (!option) return false;
		this.value = option.value;
		this.dispatchEvent(new Event('change', {bubbles: true}));
		return true;
	}`, option)
}

// presses sends keys to the focused element.
func (v *visitor) presses(keys string) {
	v.t.Helper()
	v.do("presses a key", chromedp.KeyEvent(keys))
}

// enter is the key that sends a message.
const enter = kb.Enter

// inScheme renders the pages in a color scheme: light or dark.
func (v *visitor) inScheme(scheme string) {
	v.t.Helper()
	v.do("wants it "+scheme, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return err
	}))
}

// axeScript is axe-core, which checks the accessibility of a page.
var axeScript = sync.OnceValues(func() (string, error) {
	script, err := os.ReadFile(filepath.Join("testdata", "axe", "axe.min.js"))
	return string(script), err
})

// axe runs axe-core on the page, in light and dark. Every serious or critical violation of WCAG 2.1 A and AA is a
// complaint.
func (v *visitor) axe() {
	v.t.Helper()
	script, err := axeScript()
	require.NoError(v.t, err)
	v.do("loads axe-core", chromedp.Evaluate[chromedp.Void](script))
	for _, scheme := range []string{"dark", "light"} {
		v.inScheme(scheme)
		found := ask[[]string](v, `axe.run(document, {runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']}, resultTypes: ['violations']})
			.then(found => found.violations.filter(f => f.impact === 'serious' || f.impact === 'critical')
				.flatMap(f => f.nodes.map(n => f.id + ' (' + f.impact + ') at ' + n.target.join(' ') + ': ' + n.failureSummary)))`)
		for _, finding := range found {
			v.complain(fmt.Sprintf("axe-core, on %s (%s): %s", v.at(), scheme, finding))
		}
	}
}

// picture renders the page as a PNG.
func (v *visitor) picture() []byte {
	v.t.Helper()
	ctx, cancel := v.bounded()
	defer cancel()
	drawn, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(v.t, err)
	return drawn
}

// measured formats a duration in whole milliseconds.
func measured(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
