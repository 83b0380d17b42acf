package insights

import "time"

// hoursUpTo and daysUpTo are the longest periods, in local days, that are split into hours and into days. A longer
// period is split into weeks.
const (
	hoursUpTo = 2
	daysUpTo  = 400
)

// intervals splits a period at the hours, the days or the Mondays of a zone, without gaps. A day has 23 or 25 hours
// if the zone's clocks change.
func intervals(from, to time.Time, zone *time.Location) (split []Interval) {
	from, to = from.In(zone), to.In(zone)
	next := nextMonday
	switch {
	case !to.After(from.AddDate(0, 0, hoursUpTo)):
		next = nextHour
	case !to.After(from.AddDate(0, 0, daysUpTo)):
		next = nextDay
	}
	for at := from; at.Before(to); {
		end := next(at)
		if end.After(to) {
			end = to
		}
		split = append(split, Interval{From: at, To: end})
		at = end
	}
	return split
}

// nextHour returns the moment one hour after the last full hour on the zone's clock. That is the next full hour,
// unless the clocks change in between.
func nextHour(at time.Time) time.Time {
	past := time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second + time.Duration(at.Nanosecond())
	return at.Add(time.Hour - past)
}

func nextDay(at time.Time) time.Time { return startAfter(at, 1) }

func nextMonday(at time.Time) time.Time {
	const week = 7
	return startAfter(at, (int(time.Monday-at.Weekday())+week-1)%week+1)
}

// startAfter returns the start of the day that is that many days after the day of the moment.
func startAfter(at time.Time, days int) time.Time {
	for {
		year, month, day := at.Date()
		start := StartOfDay(year, month, day+days, at.Location())
		if start.After(at) {
			return start
		}
		days++ // the day began earlier: clocks were put back after midnight and repeat it
	}
}

// StartOfDay returns the first moment at which the clocks of a zone show the day, or a later one if they skip the
// day. [time.Date] does not guarantee this. If clocks are put back to midnight, it may return either of the two
// midnights. If they are put forward from midnight, its result may be on the wrong day.
func StartOfDay(year int, month time.Month, day int, zone *time.Location) time.Time {
	midnight := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	const mostAhead = 36 * time.Hour // no zone is further ahead of UTC
	for at := midnight.Add(-mostAhead).In(zone); ; {
		_, ahead := at.Zone()
		_, end := at.ZoneBounds()
		start := midnight.Add(-time.Duration(ahead) * time.Second).In(zone)
		if start.Before(at) {
			start = at // clocks were put forward from before midnight to after it
		}
		if end.IsZero() || start.Before(end) {
			return start
		}
		at = end
	}
}
