// Package web serves the pages for browsers: the agent desk, the customer's chat, administration, insights and the
// supervisor's view.
//
// The server renders every page, and every page works without JavaScript. A form posts, the response redirects the
// browser to a page (303), and a refused form is shown again with the reason and the text that was typed. With
// JavaScript, htmx does the same without loading the whole page, and server-sent events make a page fetch itself
// again. Scripts and styles are files (assets/), because the content security policy forbids inline code.
//
// This package joins the packages of the pages, each of which declares its routes. Imports point downwards: web to the
// pages, the pages to site, and site to live, templates and words.
//
// Must not import: the rules of a conversation (a page sends a command and shows the refusal), SQL (it belongs to
// the desk), Temporal (internal/commands sends commands), and the HTTP API.
//
// Where to look:
//   - agentdesk, chat, conversations, figures (insights), admin, signin: the pages.
//   - site: what they share: a request and its response, who is signed in, and what every page shows.
//   - words: records as sentences; live: how a page learns that something has changed; templates, assets: its files.
//   - identity: sign-in with an OpenID Connect provider.
package web
