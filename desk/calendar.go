package desk

import "time"

// hoursUpTo and daysUpTo are the local days up to which a period is split up into hours and into days; a longer one is
// split up into weeks.
const (
	hoursUpTo = 2
	daysUpTo  = 400
)

// intervals splits a period up at the hours, the days or the Mondays of a zone, without gaps. A day of a zone has 23 or 25
// hours where its clocks change.
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

// nextHour returns the moment an hour after the last full hour on the clock of its zone: the next full hour, unless the
// clock is changed in between.
func nextHour(at time.Time) time.Time {
	past := time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second + time.Duration(at.Nanosecond())
	return at.Add(time.Hour - past)
}

func nextDay(at time.Time) time.Time { return startAfter(at, 1) }

func nextMonday(at time.Time) time.Time {
	const week = 7
	return startAfter(at, (int(time.Monday-at.Weekday())+week-1)%week+1)
}

// startAfter returns when the day begins that is so many days after the moment's.
func startAfter(at time.Time, days int) time.Time {
	for {
		year, month, day := at.Date()
		start := StartOfDay(year, month, day+days, at.Location())
		if start.After(at) {
			return start
		}
		days++ // a day that is repeated, because clocks were put back after midnight, has begun before
	}
}

// StartOfDay returns the first moment at which the clocks of a zone show a day, or a later one where they skip it.
// [time.Date] promises neither of the two midnights of a day on which clocks are put back to it, nor a moment of the right
// day where they are put forward from it.
func StartOfDay(year int, month time.Month, day int, zone *time.Location) time.Time {
	midnight := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	const mostAhead = 36 * time.Hour // more than any zone is ahead of UTC
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
