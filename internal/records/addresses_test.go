package records

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCanonicalAddresses(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"crystal@example.com", "Crystal@Example.COM", " crystal@example.com\n", "mailto:crystal@example.com"},
		{
			"+15551234567", "+1 (555) 123-4567", "+1-555-123-4567", "+1.555.123.4567", "001 555 123 4567", "whatsapp:+15551234567", "WhatsApp: +1 555 1234567", "whatsapp:15551234567",
			"sms:+15551234567", "tel:+1-555-123-4567", "+1\u00a0555\u2011123\u20114567",
		},
		{"+49301234567", "+49 (0)30 1234567", "0049 30 1234567"},
		{"555-123-4567", "(555) 123-4567", "5551234567"},
		{"JOSÉ@example.com", "jose\u0301@example.com"},
	} {
		for _, address := range same {
			require.Equal(t, canonicalAddress(same[0]), canonicalAddress(address), "%q", address)
		}
	}
	for _, others := range [][2]string{
		{"crystal@example.com", "crystal@example.org"},
		{"crystal@example.com", "crystal+shop@example.com"},
		{"jose@example.com", "josé@example.com"},
		{"a.b@example.com", "ab@example.com"},
		{"+15551234567", "+15551234568"},
		{"+15551234567", "15551234567"},
		{"+15551234567", "5551234567"},
		{"12-3", "123"},
		{"A-1 234", "a-1234"},
		{"", "+"},
	} {
		require.NotEqual(t, canonicalAddress(others[0]), canonicalAddress(others[1]), "%q", others)
	}
}
