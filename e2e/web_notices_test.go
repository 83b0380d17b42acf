package e2e

import (
	"testing"

	"github.com/baton-transfers/baton/conversation"
)

// TestASenderIsNotifiedWhereverTheyAre: a sender is notified of a decline and of the acceptance without a reload,
// with another conversation open and on another page. Every tab tells an agent who missed an offer why they
// are offline.
func TestASenderIsNotifiedWhereverTheyAre(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on", "--reservation-timeout", "600s")
	c := o.commands(t)
	alice, bob := o.agent(t, "alice"), o.agent(t, "bob")
	other := c.beginWithAlice(t)
	sid := c.beginWithAlice(t)
	c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
	alice.goes("/desk/" + sid)
	alice.seesIn(".wrapup", "Transferred to bob, not accepted yet.")
	alice.goes("/desk/" + other)
	alice.seesControl("button", "End")

	bob.opens("Crystal Minh")
	bob.types("textbox", "Reason for declining", "at lunch")
	bob.clicks("button", "Decline")
	alice.seesIn("#notices", "Crystal Minh bob declined: ‘at lunch’. Now waiting in support.")
	alice.clicks("link", "Crystal Minh") // the notice leads to it
	alice.waits("comes to the conversation", "location.pathname === "+quoted("/desk/"+sid))
	alice.seesIn(".wrapup", "bob declined: ‘at lunch’. Now waiting in support.")
	alice.seesIn("#thread", "bob declined: ‘at lunch’")
	alice.clicks("button", "Dismiss")
	alice.waits("the notice is gone", `!document.querySelector(".notice")`)
	alice.waits("and stays on the page", "location.pathname === "+quoted("/desk/"+sid))

	alice.clicks("button", "Complete wrap-up")
	alice.waits("it leaves her desk", "location.pathname !== "+quoted("/desk/"+sid)+` || !document.querySelector(".wrapup")`)
	alice.goes("/desk")
	alice.seesIn(".tasks", "bob declined: ‘at lunch’. Now")

	o.does(t, "settings", "--reservation-timeout", "1s")
	missed := c.begin(t, "billing")
	second := bob.anotherTab("bob's second tab")
	second.goes("/desk")
	for _, tab := range []*visitor{bob, second} {
		tab.seesIn("#notices", "You missed an offer from Crystal Minh", "and were set offline.")
	}
	bob.goes("/desk")
	bob.seesIn("#notices", "You missed an offer from Crystal Minh")
	o.does(t, "settings", "--reservation-timeout", "600s")
	bob.clicks("button", "Go available")
	for _, tab := range []*visitor{bob, second} {
		tab.waits("the banner is gone", `!document.getElementById("notice-missed")`)
		tab.waits("he is available", `document.getElementById("presence").value === "available"`)
	}
	bob.axe()
	c.do(t, missed, conversation.CloseCommand{})
}
