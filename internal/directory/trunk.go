package directory

// How a trunk is told whom a call is from.
const (
	CallerIDFrom = "from" // in From
	CallerIDPAI  = "pai"  // in P-Asserted-Identity (RFC 3325), From is the account
	CallerIDRPID = "rpid" // in Remote-Party-ID, From is the account
)

// Trunk is a SIP route to a carrier or a PBX (specification 1-callback §5).
type Trunk struct {
	Name      string `json:"name" doc:"Letters, digits, - and _" maxLength:"64"`
	Host      string `json:"host" doc:"Name or address of the carrier"`
	Port      int    `json:"port,omitempty" doc:"Default 5060, 5061 for tls"`
	Transport string `json:"transport,omitempty" enum:"udp,tcp,tls" doc:"Default udp"`
	Username  string `json:"username,omitempty" doc:"For digest authentication and registration"`
	Password  string `json:"password,omitempty" doc:"Never shown again"`
	Register  bool   `json:"register,omitempty" doc:"Register there, so that calls come in"`
	// CallerIDHeader is one of the CallerID… constants.
	CallerIDHeader string `json:"caller_id_header,omitempty" enum:"from,pai,rpid" doc:"Where the caller's number is put. Default from"`
	// NumberFormat is how numbers are written toward the trunk: see
	// numbering.Format.
	NumberFormat string   `json:"number_format,omitempty" doc:"e164 (+74951234567, default), digits (74951234567), ru8 (84951234567), or a template around {digits}: 00{digits}"`
	CallerID     string   `json:"caller_id,omitempty" doc:"The number shown where no rule yields another"`
	MaxChannels  int      `json:"max_channels,omitempty" minimum:"0" doc:"Calls at once through the trunk; 0: no limit"`
	Codecs       []string `json:"codecs,omitempty" doc:"In order of preference: PCMA, PCMU, G722. Default PCMA, PCMU"`
	// OptionsS is the interval of the health check; a trunk that does not
	// answer OPTIONS is not dialled until it does.
	OptionsS int `json:"options_s,omitempty" minimum:"0" maximum:"3600" doc:"Seconds between health checks (OPTIONS); 0: none"`
	// Endpoint is the PJSIP endpoint, with the Asterisk engine only.
	Endpoint string `json:"endpoint,omitempty" doc:"With the Asterisk engine: the PJSIP endpoint"`
}
