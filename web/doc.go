// Package web is the pages: the agent desk, the customer's chat, administration, insights and the
// supervisor's view, for browsers.
//
// Every page is rendered here and works without JavaScript: a form posts, the answer sends the browser
// to a page (303), and what was refused stands on the page with all that was typed. With JavaScript htmx
// does the same without loading the whole page, and server-sent events tell a page to fetch itself anew.
// Scripts and styles are files of our own (assets/), for nothing inline may run.
//
// What may not come in: the rules of a conversation (a page sends a command and shows the refusal), SQL
// (the desk's), Temporal (a [Conversations] carries commands), and the HTTP API.
//
// Where to look:
//   - route.go: every page and form, with the role it takes; visit.go: one request, and its answers.
//   - session.go: who is signed in; live.go, stream.go: how a page learns that something has changed.
//   - agentdesk.go, chat.go, conversations.go, insights.go, admin.go, signin.go: the pages.
package web
