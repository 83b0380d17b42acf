// Package web serves the pages for browsers: the agent desk, the customer's chat, administration, insights and the
// supervisor's view.
//
// The server renders every page, and every page works without JavaScript. A form posts, the response redirects the
// browser to a page (303), and a refused form is shown again with the reason and the text that was typed. With
// JavaScript, htmx does the same without loading the whole page, and server-sent events make a page fetch itself
// again. Scripts and styles are files of this package (assets/), because the content security policy forbids inline
// code.
//
// Must not import: the rules of a conversation (a page sends a command and shows the refusal), SQL (it belongs to
// the desk), Temporal (a [Conversations] sends commands), and the HTTP API.
//
// Where to look:
//   - route.go: every page and form with the role that it requires; visit.go: one request and its response.
//   - session.go: who is signed in; live.go, stream.go: how a page learns that something has changed.
//   - agentdesk.go, chat.go, conversations.go, insights.go, admin.go, signin.go: the pages.
package web
