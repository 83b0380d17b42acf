// Package flex serves the part of Twilio's Flex API that messaging transfers use: interactions with their channels,
// invites, participants and transfers, notes, the settings of transfers, and Flex Insights.
//
// Must not import: the other products.
package flex
