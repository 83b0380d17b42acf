package site

import (
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // images that contain only the program have no zone files
)

// cookieZone holds the name of the reader's time zone. The page's script sets it, because browsers do not send
// their zone.
const cookieZone = "baton_zone"

// longestZone is larger than the longest name of a zone, in bytes.
const longestZone = 64

// zoneName matches the names that browsers give, for example Europe/Berlin or Etc/GMT+5.
var zoneName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)

// Zone returns the reader's time zone, UTC if it is unknown.
func (v *Visit) Zone() *time.Location {
	cookie, err := v.R.Cookie(v.CookieName(cookieZone, "/"))
	if err != nil {
		return time.UTC
	}
	return zoneOf(cookie.Value)
}

// zoneOf returns the zone of the cookie's value. An unknown name means UTC, and the page says so: a browser may
// know zones that this program does not.
func zoneOf(name string) *time.Location {
	if len(name) > longestZone || !zoneName.MatchString(name) {
		return time.UTC
	}
	// Local is the server's zone. The zones under right/ count leap seconds, which browsers do not.
	if name == "Local" || strings.HasPrefix(name, "right/") || strings.HasPrefix(name, "posix/") {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}
