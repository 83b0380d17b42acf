package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// day is the unit d of a duration.
const day = 24 * time.Hour

// DurationVar defines a flag for a duration, which may contain days. The flag prints its value as it was typed.
func DurationVar(flags *pflag.FlagSet, into *time.Duration, name string, usual time.Duration, usage string) {
	*into = usual
	value := &durationValue{into: into}
	if usual != 0 {
		value.text = Brief(usual)
	}
	flags.Var(value, name, usage)
}

type durationValue struct {
	into *time.Duration
	text string
}

// String implements [pflag.Value].
func (v *durationValue) String() string { return v.text }

// Type implements [pflag.Value].
func (*durationValue) Type() string { return "duration" }

// Set implements [pflag.Value].
func (v *durationValue) Set(text string) error {
	duration, err := parseDuration(text)
	if err != nil {
		return err
	}
	*v.into, v.text = duration, text
	return nil
}

// parseDuration parses a duration like [time.ParseDuration], with optional days in front, such as 14d or 1d12h.
func parseDuration(text string) (time.Duration, error) {
	wrong := errors.New("use numbers with a unit, as in 90s, 30m, 24h or 14d")
	unsigned, negative := strings.CutPrefix(text, "-")
	days, rest, found := strings.Cut(unsigned, "d")
	var duration time.Duration
	if found {
		number, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, wrong
		}
		duration = time.Duration(number) * day
	} else {
		rest = unsigned
	}
	if rest != "" || !found {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 || more > math.MaxInt64-duration {
			return 0, wrong
		}
		duration += more
	}
	if negative {
		duration = -duration
	}
	return duration, nil
}

// Brief formats a duration in its largest unit without a remainder, in days from two days on, or else in several
// units.
func Brief(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}
