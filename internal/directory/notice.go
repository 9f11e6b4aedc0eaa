package directory

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/invalid"
)

// Where a notice comes from.
const (
	NoticeRecorded = "recorded" // by the operator, through the service code
	NoticeUploaded = "uploaded"
	NoticeText     = "text" // spoken when it is needed
)

// Notice is what callers hear who do not reach an operator (specification
// 4-operator-notices).
type Notice struct {
	Extension string
	Enabled   bool
	// Source is one of Notice….
	Source string
	// Text is what is spoken, of NoticeText; File the name of the sound in the
	// folder of notices, of the others.
	Text, File string
	Length     time.Duration // of the sound; 0 of a text
	UpdatedAt  time.Time
}

// MaxExtensions is how many operators one order may be about.
const MaxExtensions = 1000

// ParseExtensions reads extensions and ranges of them: "101-140,205". Both ends
// of a range have as many digits and are in it. The result is in the order of
// the text, each extension once. The error is an invalid.Error of the field.
func ParseExtensions(field, s string) ([]string, error) {
	var all []string
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(s, ",") {
		part = strings.Trim(part, " ")
		low, high, isRange := strings.Cut(part, "-")
		low, high = strings.Trim(low, " "), strings.Trim(high, " ")
		if !isRange {
			high = low
		}
		if why := wrongRange(low, high); why != "" {
			return nil, invalid.Error{{Path: field, Message: fmt.Sprintf("%.40q: %s", part, why)}}
		}
		from, _ := strconv.ParseUint(low, 10, 64) // at most ten digits
		to, _ := strconv.ParseUint(high, 10, 64)
		for n := from; n <= to; n++ {
			extension := fmt.Sprintf("%0*d", len(low), n)
			if seen[extension] {
				continue
			}
			if len(all) == MaxExtensions {
				return nil, invalid.Error{{Path: field, Message: fmt.Sprintf("want at most %d extensions", MaxExtensions)}}
			}
			seen[extension] = true
			all = append(all, extension)
		}
	}
	return all, nil
}

func wrongRange(low, high string) string {
	switch {
	case !IsExtension(low) || !IsExtension(high):
		return fmt.Sprintf("want extensions of %d to %d digits and ranges: 101-140,205", minExtension, maxExtension)
	case len(low) != len(high):
		return "both ends of a range have as many digits"
	case low > high:
		return "a range begins with the lower extension"
	}
	return ""
}
