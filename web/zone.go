package web

import (
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // images that hold nothing but the program have no zones
)

// cookieZone holds the name of the reader's time zone. The page's script sets it, since no browser sends its zone otherwise.
const cookieZone = "baton_zone"

// longestZone is more than the longest name of a zone.
const longestZone = 64

// zoneName is the form of the names that browsers give, as Europe/Berlin or Etc/GMT+5.
var zoneName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)

// zone is the reader's time zone: UTC where it is not known.
func (v *visit) zone() *time.Location {
	cookie, err := v.r.Cookie(v.cookieName(cookieZone, "/"))
	if err != nil {
		return time.UTC
	}
	return zoneOf(cookie.Value)
}

// zoneOf reads the cookie. An unknown name counts as UTC, and the page says so: a browser may know zones that this program
// does not.
func zoneOf(name string) *time.Location {
	if len(name) > longestZone || !zoneName.MatchString(name) {
		return time.UTC
	}
	// Local is the server's zone. The clocks under right/ count leap seconds, which no browser does.
	if name == "Local" || strings.HasPrefix(name, "right/") || strings.HasPrefix(name, "posix/") {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}
