package e2e

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// movesTo sets the time zone of the visitor's browser, from the next page on.
func (v *visitor) movesTo(zone string) {
	v.t.Helper()
	_, err := chromedp.Call(v.tab, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone})
	require.NoError(v.t, err)
}

// TestPagesHaveTheReadersClock: the days of insights follow the browser's time zone, and ages stay correct on an
// open page.
func TestPagesHaveTheReadersClock(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	crystal := o.beginsChat(t, "Crystal Minh", charged)
	carol := openBrowser(t, "carol", o.url)
	carol.movesTo("Australia/Adelaide")
	o.becomes(carol, "carol supervisor", "/desk")
	carol.goes("/insights?period=today")
	carol.sees("Days begin and end in Australia/Adelaide")
	midnight := `(() => {
		const [row] = document.querySelectorAll("details tbody tr");
		const at = new Date(row.querySelector("time").dateTime);
		return at.getHours() === 0 && at.getMinutes() === 0 && document.querySelector("#days time").dateTime === row.querySelector("time").dateTime;
	})()`
	carol.waits("today begins at midnight in Adelaide", midnight)
	carol.axe()

	// The first page of a browser, and the first one after a change of time zone, is fetched once more.
	ask[string](carol, `document.cookie = "baton_zone=; Path=/; Max-Age=0"`)
	carol.goes("/insights?period=today")
	carol.sees("Days begin and end in Australia/Adelaide")
	carol.movesTo("America/St_Johns")
	carol.goes("/insights?period=today")
	carol.sees("Days begin and end in America/St_Johns")
	carol.waits("today begins at midnight in St. John’s", midnight)

	// Another tab sets the cookie while the page loads.
	ask[string](carol, `document.cookie = "baton_zone=; Path=/; Max-Age=0"`)
	script, err := chromedp.Call(carol.tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: `document.cookie = "baton_zone=America/St_Johns; Path=/"`,
	})
	require.NoError(t, err)
	carol.goes("/insights?period=today")
	carol.sees("Days begin and end in America/St_Johns")
	_, err = chromedp.Call(carol.tab, cdppage.RemoveScriptToEvaluateOnNewDocument, cdppage.RemoveScriptToEvaluateOnNewDocumentParams(script))
	require.NoError(t, err)

	carol.goes("/conversations")
	carol.sees("Crystal Minh")
	carol.waits("the age is a time with its moment", `document.querySelector("time[data-age]").title !== ""`)
	before := ask[string](carol, `document.querySelector("time[data-age]").textContent`)
	carol.waits("the age grows", `document.querySelector("time[data-age]").textContent !== `+quoted(before))
	carol.clicks("link", "Crystal Minh")
	carol.waits("when it began is relative", `/began (just now|\d+ min ago)/.test(document.body.innerText)`)
	ask[bool](carol, `(() => { const now = Date.now; Date.now = () => now() + 7 * 60_000; return true; })()`)
	carol.waits("the age stays true", `parseInt(/^(\d+) min ago$/.exec(document.querySelector("time[data-ago]").textContent)?.[1] ?? "0", 10) >= 7`)

	alice := o.agent(t, "alice")
	alice.opens("Crystal Minh")
	alice.clicks("button", "Accept")
	alice.seesIn("#thread", "alice accepted")
	alice.waits("when it began is relative", `/just now|\d+ min ago/.test(document.querySelector(".details").innerText)`)
	ask[bool](alice, `(() => {
		window.rewritten = 0;
		new MutationObserver(() => { window.rewritten++; }).observe(document.querySelector("[role=log]"), {subtree: true, childList: true, characterData: true});
		const now = Date.now;
		Date.now = () => now() + 7 * 60_000;
		return true;
	})()`)
	alice.waits("the age stays true", `parseInt(/^(\d+) min ago$/.exec(document.querySelector("time[data-ago]").textContent)?.[1] ?? "0", 10) >= 7`)
	require.Zero(t, ask[int](alice, `window.rewritten`), "a transcript is not read out again")
	crystal.sees("You are talking to alice.")
	require.NotContains(t, ask[string](crystal, `document.cookie`), "baton_zone")
}
