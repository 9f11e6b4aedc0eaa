// Package callback is the order for a callback: the packet as it arrives, its
// rules and its defaults (specification 1-callback §1). Pure data; package
// scenario carries it out.
package callback

// Packet is everything about one attempt. It arrives in one POST, is stored as
// received and never changes afterwards. A nil or empty field takes the
// widget's value, then the server's default.
type Packet struct {
	Widget   string   `json:"widget,omitempty" doc:"The instrument the request came through; its settings are the packet's defaults"`
	Managers Managers `json:"managers,omitempty" doc:"Whom to call first: \"74951234567^101_79161234567\" (_ between managers, ^ before an extension), or a list"`
	Client   string   `json:"client,omitempty" required:"true" doc:"The client's number in any usual spelling, ^ before an extension" example:"+79161234567"`
	DialMode string   `json:"dial_mode,omitempty" enum:"sequential,parallel" doc:"Default sequential"`

	Greeting             string `json:"greeting,omitempty" doc:"What the manager hears first"`
	ConnectingText       string `json:"connecting_text,omitempty" doc:"What the manager hears before the client is called"`
	IVRText              string `json:"ivr_text,omitempty"`
	RepeatsBeforeConnect *int   `json:"ivr_repeats_before_connect,omitempty" doc:"1 to 16"`
	RepeatsBeforeHangup  *int   `json:"ivr_repeats_before_hangup,omitempty" doc:"17 to 24"`
	ExtraInfo            string `json:"extra_info,omitempty"`
	Language             string `json:"language,omitempty" doc:"ru (default), en, …"`
	Voice                string `json:"voice,omitempty" doc:"female (default), male, or a voice of the provider by name"`
	VoiceControl         *bool  `json:"voice_control,omitempty" doc:"Keys may be spoken, default false"`
	Transcribe           *bool  `json:"transcribe,omitempty" doc:"Write down the conversation, default false"`

	ExtensionDelayMS *int `json:"extension_delay_ms,omitempty" doc:"Between answer and the extension's digits, 0 to 30000, default 1000"`
	ClientDelayMS    *int `json:"client_delay_ms,omitempty" doc:"Before the client is called, 0 to 60000, default 3000"`
	ManagerTimeoutS  *int `json:"manager_timeout_s,omitempty" doc:"How long a manager's phone rings, 5 to 120, default 30"`
	ClientTimeoutS   *int `json:"client_timeout_s,omitempty" doc:"How long the client's phone rings, 5 to 120, default 45"`
	AfterCallS       *int `json:"after_call_s,omitempty" doc:"How long the manager may press recall keys after the client's leg has ended, 0 to 60, default 15"`

	DTMFConnect       string `json:"dtmf_connect,omitempty" doc:"Key; set: the client is called only on it, or at the repeat limit"`
	DTMFExtraInfo     string `json:"dtmf_extra_info,omitempty" doc:"Key; # means: spoken by itself"`
	DTMFCancel        string `json:"dtmf_cancel,omitempty" doc:"Key"`
	DTMFCancelRecalls string `json:"dtmf_cancel_recalls,omitempty" doc:"Key, after the client's leg has ended"`
	DTMFReschedule    string `json:"dtmf_reschedule,omitempty" doc:"Key"`
	DTMFToManager     string `json:"dtmf_to_manager,omitempty" doc:"Digits sent to the manager's leg after the answer; , is 500 ms"`

	ClientCallerID         string   `json:"client_caller_id,omitempty"`
	DefaultCallerIDManager string   `json:"default_caller_id_manager,omitempty"`
	DefaultCallerIDClient  string   `json:"default_caller_id_client,omitempty"`
	SubstituteForManager   *bool    `json:"substitute_for_manager,omitempty" doc:"Whether the manager is shown a number by location rather than the client's own, default true"`
	SubstituteForClient    *bool    `json:"substitute_for_client,omitempty" doc:"Whether the client is shown a number by location rather than the manager's own, default true"`
	Trunk                  string   `json:"trunk,omitempty"`
	TrunksManager          []string `json:"trunks_manager,omitempty"`
	TrunksClient           []string `json:"trunks_client,omitempty"`
	FailoverOn             string   `json:"failover_on,omitempty" enum:"network,any" doc:"When the next trunk is tried: when the network fails (default), or on every failure but a person's own: busy, declined, no answer"`

	ClientIP string `json:"client_ip,omitempty"`
	Attempt  int    `json:"attempt,omitempty" doc:"From 1, default 1"`
	// StartWithinS bounds how late the first attempt may begin, in seconds after
	// the request. nil: the server's own bound after a restart, and no bound for
	// a request that waits for its widget's opening hours.
	StartWithinS *int `json:"start_within_s,omitempty" doc:"How late the call may begin, 1 to 604800 seconds after the request; later it ends as 713. Default: it waits for the widget's hours, and a restarted server makes calls of the last 10 minutes"`

	LogURL    string `json:"log_url,omitempty"`
	StatusURL string `json:"status_url,omitempty"`
	EventsURL string `json:"events_url,omitempty"`
}

// ManagerTarget is one manager to call.
type ManagerTarget struct {
	// Group names those who are called before the next group is, by dial_mode
	// within the group. All without one are a group as well.
	Group string `json:"group,omitempty" maxLength:"64" doc:"Managers of one group are called, by dial_mode, before the next group is"`
	// Number is outside (E.164 once normalised) or an operator's extension.
	Number string `json:"number,omitempty"`
	// Extension is dialled by DTMF after the answer.
	Extension string `json:"extension,omitempty"`
	// SIP is the extension of a registered operator, or the part before the @
	// of its address; exclusive with Number.
	SIP string `json:"sip,omitempty"`
}

// Managers is the list of managers. In JSON it is a list of objects or the
// v.11 string.
type Managers []ManagerTarget
