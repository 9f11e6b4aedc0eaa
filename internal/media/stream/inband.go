package stream

import (
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

type inbandReceiver struct{}

func (r *inbandReceiver) take(*Stream, time.Time, media.Codec, []byte) {}
