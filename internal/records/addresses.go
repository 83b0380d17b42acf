package records

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// phoneDigits is the minimum number of digits in a telephone number.
const phoneDigits = 7

var (
	phoneNumber      = regexp.MustCompile(`^(?:\+|00)?[0-9 ()./\-]+$`)
	phonePunctuation = strings.NewReplacer("(0)", "", " ", "", "(", "", ")", "", ".", "", "/", "", "-", "")
)

// canonicalAddress returns an address without differences that do not matter: letter case, surrounding spaces, a
// channel prefix, the notation of a telephone number. A number with a country code never equals one without.
func canonicalAddress(address string) string {
	address = strings.TrimSpace(cases.Fold().String(norm.NFC.String(address)))
	isPhone := false
	for _, prefix := range []string{"whatsapp:", "sms:", "tel:", "mailto:"} {
		if rest, has := strings.CutPrefix(address, prefix); has {
			address, isPhone = strings.TrimSpace(rest), prefix != "mailto:"
			break
		}
	}
	spaced := strings.Map(func(r rune) rune {
		switch r {
		case '\u00a0', '\u2009', '\u202f':
			return ' '
		case '\u2010', '\u2011', '\u2012', '\u2013':
			return '-'
		}
		return r
	}, address)
	if !phoneNumber.MatchString(spaced) {
		return address
	}
	written, national := spaced, false
	switch {
	case strings.HasPrefix(spaced, "+"):
		written = spaced[1:]
	case strings.HasPrefix(spaced, "00"):
		written = spaced[2:]
	default:
		national = !isPhone // WhatsApp omits the plus sign
	}
	digits := phonePunctuation.Replace(written)
	switch {
	case len(digits) < phoneDigits:
		return address
	case national:
		return digits
	}
	return "+" + digits
}

// addressesAtOnce is how many rows are read at once to find an address.
const addressesAtOnce = 1000

// ConversationsOf returns the SIDs of the conversations whose customer or participant has that address, oldest
// first. It compares addresses with [canonicalAddress]. No query can do that with encrypted addresses, so it reads
// all of them.
func ConversationsOf(ctx context.Context, d *desk.Desk, address string) ([]string, error) {
	wanted := canonicalAddress(address)
	if wanted == "" || address == erasedText {
		return nil, nil
	}
	chosen := map[string]bool{}
	for _, c := range []sqldb.Column{desk.CustomerAddress, desk.MemberAddress, desk.MemberIdentity} {
		if err := findAddress(ctx, d, c, wanted, chosen); err != nil {
			return nil, err
		}
	}
	type dated struct {
		sid     string
		created int64
	}
	found := make([]dated, 0, len(chosen))
	err := d.ReadTx(ctx, "find a customer's conversations", func(tx *desk.Tx) error {
		found = found[:0]
		for sid := range chosen {
			created, is, err := sqldb.First(ctx, tx, sqldb.Value[int64], `SELECT created_at FROM conversations WHERE sid = $1`, sid)
			if err != nil {
				return err
			}
			if is {
				found = append(found, dated{sid, created})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b dated) int {
		return cmp.Or(cmp.Compare(a.created, b.created), strings.Compare(a.sid, b.sid))
	})
	sids := make([]string, len(found))
	for i, f := range found {
		sids[i] = f.sid
	}
	return sids, nil
}

// findAddress adds the conversations in which a column has the canonical address.
func findAddress(ctx context.Context, d *desk.Desk, c sqldb.Column, wanted string, chosen map[string]bool) error {
	of := "conversation"
	if c.Table == desk.CustomerAddress.Table {
		of = "sid"
	}
	query := fmt.Sprintf(`SELECT %[1]s, %[2]s, %[3]s FROM %[4]s WHERE %[1]s > $1 AND %[3]s <> '' ORDER BY %[1]s LIMIT $2`, c.Key, of, c.Name, c.Table)
	type kept struct{ key, conversation, address string }
	for after := ""; ; {
		var some []kept
		err := d.ReadTx(ctx, "find an address", func(tx *desk.Tx) (err error) {
			some, err = sqldb.All(ctx, tx, func(r sqldb.Row) (k kept, err error) {
				err = r.Scan(&k.key, &k.conversation, sqldb.Opened(c, &k.key, &k.address))
				return k, err
			}, query, after, addressesAtOnce)
			return err
		})
		if err != nil {
			return err
		}
		for _, k := range some {
			if canonicalAddress(k.address) == wanted {
				chosen[k.conversation] = true
			}
		}
		if len(some) < addressesAtOnce {
			return nil
		}
		after = some[len(some)-1].key
	}
}
