package call

// Types are all words that an Event's Type may be, in the order of their
// declaration.
func Types() []Type {
	return []Type{
		Created,
		NodeChosen,
		Arrived,
		CallerIDChosen,
		Dialing,
		Progress,
		Ringing,
		Answered,
		DialFailed,
		DialCancelled,
		Skipped,
		LegEnded,
		PromptStarted,
		PromptEnded,
		DigitReceived,
		DigitsSent,
		KeyPressed,
		Waiting,
		RecordingStarted,
		Joined,
		Parted,
		Held,
		Resumed,
		TransferStarted,
		TransferDone,
		TransferFailed,
		TransferReturned,
		Merged,
		Ended,
		RecordingState,
		Transcribed,
		NotTranscribed,
		Note,
	}
}
