package e2e

import (
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/records"
)

// TestASupervisorSearchesInTheBrowser: a supervisor searches by the customer's words, with the keyboard. A change
// elsewhere does not repeat the search. The command line finds the same conversations.
func TestASupervisorSearchesInTheBrowser(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.beginsChat(t, "Crystal Müller", "I was charged twice, Straße 7")
	o.beginsChat(t, "Adam", "Where is my parcel?")
	carol := o.signIn(t, "carol", "carol as administrator", "/conversations")
	carol.sees("Crystal Müller", "Adam")
	carol.types("searchbox", "Name, address, text or SID", "STRASSE")
	carol.presses(kb.Enter)
	carol.waits("only the conversation with the text is listed", `document.querySelectorAll("tbody tr").length === 1`)
	carol.sees("Crystal Müller")
	require.Equal(t, "Straße", ask[string](carol, `document.querySelector("tbody mark").textContent`))
	require.Equal(t, "STRASSE", ask[string](carol, `document.querySelector("[name=search]").value`))
	carol.axe()

	o.beginsChat(t, "Zoe", "Another one in the STRASSE")
	carol.clicks("button", "Search")
	carol.waits("a new search has the new one too", `document.querySelectorAll("tbody tr").length === 2`)
	carol.types("searchbox", "Name, address, text or SID", "100% nothing")
	carol.presses(kb.Enter)
	carol.sees("in a name, an address, a message or as a SID")
	carol.axe()
	carol.clicks("link", "Clear the search")
	carol.waits("all are listed", `document.querySelectorAll("tbody tr").length === 3`)
	o.beginsChat(t, "Yan", "Live again")
	carol.sees("Yan")

	var found []records.Match
	o.reads(t, &found, "find", "muller")
	require.Len(t, found, 1)
	require.Equal(t, "Müller", found[0].Excerpt.Match)

	carol.withoutScripts()
	carol.types("searchbox", "Name, address, text or SID", found[0].SID)
	carol.clicks("button", "Search")
	carol.waits("it is found by its SID", `document.querySelectorAll("tbody tr").length === 1`)
}
