package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
)

// reads waits until an element that a CSS selector finds shows the parts of a sentence from left to right, line by
// line, with none moved by another.
func (v *visitor) reads(selector string, parts ...string) {
	v.t.Helper()
	v.waits("reads "+strings.Join(parts, " | ")+" in "+selector, `((selector, parts) => [...document.querySelectorAll(selector)].some((element) => {
		const nodes = [];
		const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
		while (walker.nextNode()) nodes.push(walker.currentNode);
		const text = nodes.map((node) => node.data).join("");
		const place = (at) => {
			for (const node of nodes) {
				if (at < node.length) return [node, at];
				at -= node.length;
			}
		};
		let from = 0;
		let before = null;
		return parts.every((part) => {
			const at = text.indexOf(part, from);
			if (at < 0) return false;
			from = at + part.length;
			const range = document.createRange();
			range.setStart(...place(at));
			const [last, offset] = place(from - 1);
			range.setEnd(last, offset + 1);
			const now = range.getBoundingClientRect();
			const follows = now.width > 0 && (before === null || now.left >= before.right - 1 || now.top >= before.bottom - 1);
			before = now;
			return follows;
		});
	}))(`+quoted(selector)+`, `+"["+joined(parts)+"]"+`)`)
}

func joined(parts []string) string {
	encoded := make([]string, len(parts))
	for i, part := range parts {
		encoded[i] = quoted(part)
	}
	return strings.Join(encoded, ", ")
}

// Right-to-left names, reasons and notes do not change the order of the text around them on any page, and a name
// cannot reverse the text next to it.
func TestTextFromRightToLeft(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	o.does(t, "queues", "add", "מכירות", "--member", "alice")
	o.does(t, "agents", "add", "דנה (2)", "--status", "available")
	crystal := o.beginsChat(t, "Eve\u202e7 kcatta", charged)
	alice := o.agent(t, "alice")
	alice.opens("Eve7 kcatta")
	alice.clicks("button", "Accept")
	crystal.reads(".with", "You are talking to", "alice", ".")
	const arabic = "مدفوعة مرتين (3 مايو)"
	alice.passes("דנה", "דנה (2)", arabic)
	alice.sees("Transferred.")
	alice.reads(".wrapup p", "Transferred to", "דנה (2)", ", not accepted yet.")
	crystal.seesIn(".did", "We’re connecting you with a colleague")
	crystal.seesIn(".with", "We’re connecting you with a colleague. They can see everything you’ve written.")
	crystal.seesNowhere(arabic)

	dana := o.agent(t, "דנה (2)")
	dana.opens("Eve7 kcatta")
	dana.reads(".offer p", "Transfer from", "alice", "· to you")
	dana.waits("the note begins at the right", `getComputedStyle(document.querySelector(".offer .note .text")).direction === "rtl"`)
	dana.types("textbox", "Reason for declining", "مشغول: 3")
	dana.clicks("button", "Decline")
	dana.sees("Declined.")

	alice.reads(".notice p", "Eve7 kcatta", "דנה (2)", "declined: ‘", "مشغول: 3", "’. Now waiting in support.")
	alice.reads(".wrapup p", "דנה (2)", "declined: ‘", "مشغول: 3", "’. Now waiting in support.")
	alice.reads("#thread .did", "alice", "transferred this to", "דנה (2)")
	alice.reads("#thread .did", "דנה (2)", "declined: ‘", "مشغول: 3", "’")
	alice.seesNowhere("\u202e")

	sid := o.conversations(t)[0].SID
	carol := o.signIn(t, "carol", "carol supervisor", "/conversations/"+sid)
	carol.reads(".event", "Offered to", "דנה (2)")
	carol.reads(".event", "דנה (2)", "declined:", "مشغول: 3")
	carol.chooses(". Move it to", "\u2068מכירות\u2069 (queue)")
	carol.clicks("button", "Move")
	carol.reads(".event", "Moved to", "מכירות")
	carol.seesNowhere("\u202e")
	require.Contains(t, o.does(t, "show", sid), "דנה (2) (dnh-2)")
	require.Contains(t, o.does(t, "show", sid), "מכירות (mkhyrvt)")
	require.Contains(t, o.does(t, "list"), "מכירות (mkhyrvt)")
	require.Contains(t, o.does(t, "offers", "--agent", "dnh-2"), "דנה (2) (dnh-2) has no offers")
	crystal.clicks("button", "End this chat")
	crystal.sees("This chat is over.")
	alice.types("textbox", "Wrap-up note", arabic)
	alice.clicks("button", "Complete wrap-up")
	alice.sees("Wrap-up complete.")
	carol.goes("/conversations")
	carol.reads("tr", "Eve7 kcatta", "web", "closed", "alice", "·", "מכירות", "last")
}

// A text that is too long is reported next to its field, with a count of characters, before it is sent: it is not
// cut, and it is not sent.
func TestTooLongIsSaidBesideTheField(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	const (
		wide     = "👩🏽" // two characters, four units of UTF-16
		combined = "e\u0301"
	)
	// long returns a text of that many characters.
	long := func(count int) string { return strings.Repeat(wide+combined, count/4) + strings.Repeat("x", count%4) }
	counts := func(v *visitor, name, says string) {
		t.Helper()
		v.waits("the count says "+says, `(() => {
			const field = `+field(name)+`;
			const said = document.getElementById(field.id + "-count");
			return (said.hidden ? "" : said.innerText) === `+quoted(says)+` && field.getAttribute("aria-describedby").includes(said.id);
		})()`)
	}
	// bounded types three texts into a field: one that is too long, a short one, and the longest permitted one.
	bounded := func(v *visitor, role, label, name, most, over string, limit int, send func()) {
		t.Helper()
		v.types(role, label, long(limit+50))
		counts(v, name, over+" of "+most+" characters")
		send()
		v.waits("it is refused by the page", `!`+field(name)+`.checkValidity() && document.querySelector(".outbox .message") === null`)
		require.Equal(t, long(limit+50), ask[string](v, field(name)+".value"), "nothing is cut")
		v.types(role, label, "short")
		counts(v, name, "")
		v.types(role, label, long(limit))
		counts(v, name, most+" of "+most+" characters")
		v.waits("it is not refused", field(name)+`.checkValidity()`)
	}

	crystal := openBrowser(t, "Crystal", o.url)
	crystal.goes("/chat")
	crystal.types("textbox", "What is it about?", charged)
	bounded(crystal, "textbox", "Your name", "name", "255", "305", conversation.MaxText, func() { crystal.clicks("button", "Start chat") })
	require.Equal(t, "/chat", crystal.at())
	require.Empty(t, o.conversations(t))
	crystal.clicks("button", "Start chat")
	crystal.seesIn("#thread", charged)
	sid := o.conversations(t)[0].SID
	require.Equal(t, long(conversation.MaxText), o.conversations(t)[0].Customer.Name)
	bounded(crystal, "textbox", "Your message", "text", "16,000", "16,050", records.MaxMessage, func() { crystal.presses(enter) })
	crystal.presses(enter)
	crystal.waits("it is delivered", `document.querySelectorAll("#thread .message[data-number]").length === 2`)
	counts(crystal, "text", "")
	require.Equal(t, []string{charged, long(records.MaxMessage)}, o.texts(t, sid))

	o.offered(t, sid, "alice")
	alice := o.agent(t, "alice")
	alice.goes("/desk/" + sid)
	bounded(alice, "textbox", "Reason for declining", "reason", "255", "305", conversation.MaxText, func() { alice.clicks("button", "Decline") })
	o.does(t, "accept", sid, "--agent", "alice", "--wait")
	alice.goes("/desk/" + sid + "/transfer")
	alice.clicks("radio", "billing")
	bounded(alice, "textbox", "Note for the next agent", "note", "2,000", "2,050", conversation.MaxNote, func() { alice.clicks("button", "Transfer conversation") })
	alice.clicks("button", "Transfer conversation")
	alice.sees("Transferred.")
	bounded(alice, "combobox", "Outcome", "disposition", "255", "305", conversation.MaxText, func() { alice.clicks("button", "Complete wrap-up") })
	bounded(alice, "textbox", "Wrap-up note", "note", "2,000", "2,050", conversation.MaxNote, func() { alice.clicks("button", "Complete wrap-up") })
	alice.clicks("button", "Complete wrap-up")
	alice.sees("Wrap-up complete.")

	carol := o.administrator(t)
	carol.goes("/admin/agents")
	bounded(carol, "textbox", "Shown as", "friendly_name", "255", "305", conversation.MaxText, func() { carol.clicks("button", "Add") })
	carol.types("textbox", "Name", "zoe")
	carol.clicks("button", "Add")
	carol.sees("Added " + long(conversation.MaxText) + ".")
	carol.goes("/conversations")
	bounded(carol, "searchbox", "Name, address, text or SID", "search", "200", "250", records.MaxSearch, func() { carol.clicks("button", "Search") })
	require.Equal(t, "/conversations", carol.at())
	carol.goes("/conversations/" + sid)
	bounded(carol, "textbox", "Reason", "reason", "255", "305", conversation.MaxText, func() { carol.clicks("button", "Close the conversation") })
	carol.clicks("button", "Close the conversation")
	carol.sees("Closed.")
}
