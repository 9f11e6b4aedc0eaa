package telephonytest

import (
	"runtime/debug"
	"sync"
)

// Steady keeps the phones of this process speaking while it starts programs.
//
// Until a program is running its starter is suspended (vfork), which takes as
// long as its first pages take from the disk; and the garbage collector, when
// its turn comes, stops everybody until that is over. All phones of a test were
// silent for up to a second by it. So it has no turn below two gigabytes.
var Steady = sync.OnceFunc(func() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(2 << 30)
})
