// Package conversations serves the part of Twilio's Conversations API that messaging transfers use: conversations with
// their messages and their participants.
//
// Must not import: the other products.
package conversations
