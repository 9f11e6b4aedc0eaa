package checkup

import (
	"regexp"
	"strconv"
)

// version is the two numbers of Asterisk's that tell what it can do.
type version struct{ major, minor int }

// numbered finds them in 22.10.0, 20.6.0~dfsg+~cs6.13, GIT-22-abc, and
// certified-20.7-cert4, which is cut from 20.7.
var numbered = regexp.MustCompile(`^(?:certified[-/]|GIT-|Asterisk )?(\d+)(?:\.(\d+))?`)

func parseVersion(text string) (v version, ok bool) {
	m := numbered.FindStringSubmatch(text)
	if m == nil {
		return v, false
	}
	v.major, _ = strconv.Atoi(m[1]) // digits
	v.minor = int(^uint(0) >> 1)    // a branch's newest: GIT-22
	if m[2] != "" {
		v.minor, _ = strconv.Atoi(m[2])
	}
	return v, true
}

// has tells whether a version has what came with those of since, one a branch.
// A branch that is not among them has it if it is newer than all.
func (v version) has(since []version) bool {
	newest := 0
	for _, s := range since {
		if s.major == v.major {
			return v.minor >= s.minor
		}
		newest = max(newest, s.major)
	}
	return v.major > newest
}
