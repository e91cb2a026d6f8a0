package slo

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// lasting is a duration in the rules or the routes that says for how long something is looked at
// or waited for. Thresholds (an age of 300 s) and labels are none.
var lasting = regexp.MustCompile(`(\[|offset |\b(?:for|interval|group_wait|group_interval|repeat_interval): )(\d+)(s|m|h|d)\b`)

// Scaled returns rules or routes in which all windows, waits and intervals are shorter by a
// factor. What an alert takes to fire is shorter by it, too, if the samples come as much faster.
// Thresholds stay: the shop does not get faster.
func Scaled(text []byte, factor float64) []byte {
	if factor == 1 {
		return text
	}
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	return lasting.ReplaceAllFunc(text, func(found []byte) []byte {
		part := lasting.FindSubmatch(found)
		n, err := strconv.Atoi(string(part[2]))
		if err != nil {
			return found // more than an int holds: no duration that Prometheus takes
		}
		shorter := time.Duration(float64(time.Duration(n)*unit[string(part[3])]) / factor)
		return fmt.Appendf(nil, "%s%dms", part[1], max(1, shorter.Milliseconds()))
	})
}
