package scenario

import (
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
)

// music is what who waits hears.
func music() telephony.Prompt { return telephony.Prompt{Clip: tone.Music(), Loop: true} }
