// Package config is the one place of the server's settings: what each means,
// its unit, default and range, and where its value comes from.
//
// A setting is a field of Settings. It can be given as a flag of `perezvon
// serve`, as PEREZVON_… in the environment, and in the YAML file named by
// --config; the first of these that has it wins (Sources). What an
// administrator changes daily (trunks, operators, routes) is not here: it lives
// in the database.
package config

import (
	"net/netip"
	"time"
)

// Settings is everything `perezvon serve` can be told. Embed it in the command's
// struct and give kong the Sources; Default gives it without a command line.
//
// The tag yaml names the key in the file; a hyphen and an underscore mean the
// same there.
type Settings struct {
	// Config is the YAML file. Read before the other settings are decided;
	// none by default. The file cannot name another file.
	Config string `name:"config" placeholder:"FILE" help:"YAML file with settings, one key per flag."`

	// Data is the folder of the database, the recordings and the spoken
	// prompts. Made if missing.
	Data string `yaml:"data" name:"data" default:"./data" placeholder:"DIR" help:"Folder of the database, recordings and prompts."`
	// Database is where calls are stored: empty for SQLite in the data
	// folder, or a postgres:// address. A Secret, as it may hold a password.
	Database Secret `yaml:"database" name:"database" placeholder:"DSN" help:"Database; SQLite in the data folder unless given (postgres://…)."`

	// RecordConsultations keeps what operators say to each other while the
	// client waits, as a file apart; false: it is never written.
	RecordConsultations bool `yaml:"record_consultations" name:"record-consultations" default:"true" negatable:"" help:"Keep operators' private consultations, apart from the recording."`

	// HTTP is the address of the API and the console, host:port.
	HTTP string `yaml:"http" name:"http" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Address of the HTTP API and the console."`
	// PublicURL is how browsers and backends reach HTTP; links in answers
	// start with it. Default: http:// and the HTTP address.
	PublicURL string `yaml:"public_url" name:"public-url" placeholder:"URL" help:"How the HTTP address is reached from outside; links start with it."`
	// MetricsAuth asks for an API key at /metrics too. Default: open.
	MetricsAuth bool `yaml:"metrics_auth" name:"metrics-auth" help:"Ask for an API key at /metrics."`
	// AdminKey is the first API key with all rights. One that is given later
	// takes the place of the one given before. Short ones can be guessed: the
	// server warns of less than 16 characters.
	// Not set: one is made at the first start and printed once. Hidden
	// among the flags, as command lines can be read by other users.
	AdminKey Secret `yaml:"admin_key" name:"admin-key" hidden:"" placeholder:"KEY" help:"First API key; better given as PEREZVON_ADMIN_KEY."`

	// SIP is the address of SIP over UDP and TCP, host:port.
	SIP string `yaml:"sip" name:"sip" default:"0.0.0.0:5060" placeholder:"ADDR" help:"SIP over UDP and TCP."`
	// SIPTLS is the address of SIP over TLS; off by default. Needs TLSCert
	// and TLSKey.
	SIPTLS string `yaml:"sip_tls" name:"sip-tls" placeholder:"ADDR" help:"SIP over TLS, usually 0.0.0.0:5061; off unless given."`
	// SIPAdvertise is the IP address written into SIP and SDP, for a server
	// behind NAT. Default: the address the packets leave from.
	SIPAdvertise netip.Addr `yaml:"sip_advertise" name:"sip-advertise" placeholder:"IP" help:"Address to write into SIP and SDP when behind NAT."`
	// TLSCert and TLSKey are PEM files for SIPTLS.
	TLSCert string `yaml:"tls_cert" name:"tls-cert" placeholder:"FILE" help:"Certificate chain for SIP over TLS, PEM."`
	TLSKey  string `yaml:"tls_key" name:"tls-key" placeholder:"FILE" help:"Key of the certificate, PEM."`
	// RTPPorts are the UDP ports of media, both ends included; a leg takes an
	// even port and the odd one after it. At least four.
	RTPPorts Ports `yaml:"rtp_ports" name:"rtp-ports" default:"10000-19999" placeholder:"A-B" help:"UDP ports of media."`
	// MediaTimeout ends a call whose media has been silent for so long,
	// 5s to 1h; 0 never.
	MediaTimeout time.Duration `yaml:"media_timeout" name:"media-timeout" default:"60s" placeholder:"TIME" help:"End a call without media after this long; 0: never."`

	// Engine is what makes the calls: EngineSIP (built in) or EngineAsterisk.
	Engine string `yaml:"engine" name:"engine" default:"sip" enum:"sip,asterisk" placeholder:"sip|asterisk" help:"What makes the calls: sip (built in) or asterisk."`
	// ARI… reach Asterisk; used with EngineAsterisk only.
	ARIURL      string `yaml:"ari_url" name:"ari-url" default:"http://127.0.0.1:8088/ari" placeholder:"URL" help:"Asterisk's ARI, http://host:8088/ari."`
	ARIUsername string `yaml:"ari_username" name:"ari-username" default:"perezvon" placeholder:"NAME" help:"User of ARI."`
	ARIPassword Secret `yaml:"ari_password" name:"ari-password" placeholder:"WORD" help:"Password of ARI."`
	ARIApp      string `yaml:"ari_app" name:"ari-app" default:"perezvon" placeholder:"NAME" help:"Stasis application."`
	// AGI is the address of the FastAGI service; off by default.
	AGI string `yaml:"agi" name:"agi" placeholder:"ADDR" help:"Address of the FastAGI service; off unless given."`
	// AGIAllow are the networks that may use it: the protocol has no passwords.
	// Default: this machine.
	AGIAllow []netip.Prefix `yaml:"agi_allow" name:"agi-allow" placeholder:"CIDR,…" help:"Networks that the FastAGI service may be used from; this machine unless given."`

	// FreePBX is the address of a FreePBX's MariaDB, of scheme mysql; its path
	// is the database of the call records (freepbx.ParseURL). Off by default. A
	// Secret, as it holds a password.
	FreePBX Secret `yaml:"freepbx" name:"freepbx" placeholder:"URL" help:"MariaDB of a FreePBX, mysql://user:password@host/asteriskcdrdb; off unless given."`
	// FreePBXEvery is how often its new call records are read, 1s to 1h.
	FreePBXEvery time.Duration `yaml:"freepbx_every" name:"freepbx-every" default:"10s" placeholder:"TIME" help:"How often the call records of FreePBX are read."`
	// FreePBXTimezone is the zone of the times in the call records (IANA).
	// Default: what MariaDB itself takes local time for.
	FreePBXTimezone string `yaml:"freepbx_timezone" name:"freepbx-timezone" placeholder:"ZONE" help:"Time zone of FreePBX's call records, like Europe/Moscow; MariaDB's own unless given."`

	// TransferAttended and TransferBlind are what operators press before a
	// colleague's number, TransferBack and TransferThreeWay while they talk to
	// the colleague: one to five keys, empty is off. docs/transfers.md.
	TransferAttended string `yaml:"transfer_attended" name:"transfer-attended" default:"*2" placeholder:"KEYS" help:"Code of the attended transfer."`
	TransferBlind    string `yaml:"transfer_blind" name:"transfer-blind" default:"##" placeholder:"KEYS" help:"Code of the blind transfer."`
	TransferBack     string `yaml:"transfer_back" name:"transfer-back" default:"*1" placeholder:"KEYS" help:"Back to the client, while a colleague is consulted."`
	TransferThreeWay string `yaml:"transfer_three_way" name:"transfer-three-way" default:"*3" placeholder:"KEYS" help:"Join all three, while a colleague is consulted."`
	// TransferDigitTimeout is the longest pause between the keys of a code,
	// 100ms to 10s; TransferInterDigitTimeout ends the dialling of a number, 1s
	// to 30s.
	TransferDigitTimeout      time.Duration `yaml:"transfer_digit_timeout" name:"transfer-digit-timeout" default:"1s" placeholder:"TIME" help:"Longest pause between the keys of a code."`
	TransferInterDigitTimeout time.Duration `yaml:"transfer_inter_digit_timeout" name:"transfer-inter-digit-timeout" default:"3s" placeholder:"TIME" help:"No key for so long ends the dialling of a number."`
	// TransferRing is how long a colleague is rung, 1s to 5m.
	TransferRing time.Duration `yaml:"transfer_ring" name:"transfer-ring" default:"20s" placeholder:"TIME" help:"How long a colleague is rung."`
	// TransferReturn gives a client whom nobody took back to the operator who
	// passed him on.
	TransferReturn bool `yaml:"transfer_return" name:"transfer-return" default:"true" help:"Give a client whom the colleague did not take back to the operator."`

	// PickupCode and an extension are what operators dial to take the call that
	// rings there, PickupAnyCode to take the one that rings longest: * or # and up
	// to nine keys, empty is off. docs/operators.md.
	PickupCode    string `yaml:"pickup_code" name:"pickup-code" default:"**" placeholder:"KEYS" help:"Dialled before a colleague's extension: takes the call that rings there."`
	PickupAnyCode string `yaml:"pickup_any_code" name:"pickup-any-code" default:"*8" placeholder:"KEYS" help:"Takes the call that rings longest at any colleague's."`

	// NoticeCode is what operators dial to record what callers hear who do not
	// reach them: * or # and up to nine keys; empty is off. docs/notices.md.
	NoticeCode string `yaml:"notice_code" name:"notice-code" default:"*600" placeholder:"KEYS" help:"Code by which operators record their notices."`
	// NoticeAllow are masks of the extensions that may (directory.Mask). Default:
	// all.
	NoticeAllow []string `yaml:"notice_allow" name:"notice-allow" placeholder:"_1XX,…" help:"Masks of the extensions that may record a notice; all unless given."`
	// NoticeMax is how long a recording may be, 1s to 5m.
	NoticeMax time.Duration `yaml:"notice_max" name:"notice-max" default:"60s" placeholder:"TIME" help:"Longest notice that is recorded by phone."`
	// NoticeNoAnswer, NoticeBusy and NoticeUnavailable: a notice is heard when
	// the operator does not answer, is busy, or has no phone registered.
	NoticeNoAnswer    bool `yaml:"notice_no_answer" name:"notice-no-answer" default:"true" help:"Callers hear the notice of an operator who does not answer."`
	NoticeBusy        bool `yaml:"notice_busy" name:"notice-busy" default:"true" help:"Callers hear the notice of an operator who is busy."`
	NoticeUnavailable bool `yaml:"notice_unavailable" name:"notice-unavailable" default:"true" help:"Callers hear the notice of an operator without a registered phone."`
	// NoticeTemplate is said for operators who have no notice: a text, or
	// NoticeShipped for the server's own words. Default: nothing is said.
	NoticeTemplate string `yaml:"notice_template" name:"notice-template" placeholder:"TEXT|default" help:"What is said for operators without a notice; default: the server's own words; nothing unless given."`

	// Recognizer is what understands speech, for voice_control and transcribe:
	// RecognizerVosk, RecognizerOpenAI, RecognizerYandex; none by default.
	Recognizer string `yaml:"recognizer" name:"recognizer" enum:",vosk,openai,yandex" default:"" placeholder:"vosk|openai|yandex" help:"What understands speech: vosk, openai (or a server that speaks as it does) or yandex; off unless given."`
	// RecognizerURL is its address: ws://host:2700 of a Vosk server, else
	// http(s)://. Default: OpenAI's or Yandex's own. It may be private.
	RecognizerURL string `yaml:"recognizer_url" name:"recognizer-url" placeholder:"URL" help:"Address of the recogniser, ws://host:2700 of a Vosk server; may be private."`
	// RecognizerKey is the key of OpenAI or Yandex (an API key of a service
	// account). Hidden among the flags, as command lines can be read.
	RecognizerKey Secret `yaml:"recognizer_key" name:"recognizer-key" hidden:"" placeholder:"KEY" help:"Key of the recogniser; better given as PEREZVON_RECOGNIZER_KEY."`
	// RecognizerModel is the model of OpenAI (whisper-1 unless given) or the
	// topic of Yandex (general).
	RecognizerModel string `yaml:"recognizer_model" name:"recognizer-model" placeholder:"NAME" help:"Model of openai (whisper-1 unless given) or topic of yandex (general)."`
	// RecognizerLanguage is the only language that the recogniser understands:
	// that of the Vosk server's model. Default: not said, all are tried.
	RecognizerLanguage string `yaml:"recognizer_language" name:"recognizer-language" placeholder:"LANG" help:"The only language that the recogniser understands, like ru; not said unless given."`

	// Region is the country whose customs numbers without a country code
	// follow, two letters (ISO 3166-1).
	Region string `yaml:"region" name:"region" default:"RU" placeholder:"CC" help:"Country of numbers written without a country code."`
	// OutboundAllow are private networks that webhooks and the CRM may be
	// reached in. None by default: only public addresses.
	OutboundAllow []netip.Prefix `yaml:"outbound_allow" name:"outbound-allow" placeholder:"CIDR,…" help:"Private networks that webhooks and the CRM may be reached in."`
	// Drain is how long live calls may go on after SIGTERM, 0 to 24h.
	Drain time.Duration `yaml:"drain" name:"drain" default:"60s" placeholder:"TIME" help:"How long live calls may go on after SIGTERM."`
	// KeepCalls leaves calls in Asterisk at SIGTERM for the next start, instead of
	// waiting for their end; the built-in engine cannot.
	KeepCalls bool `yaml:"keep_calls" name:"keep-calls" default:"true" help:"With Asterisk: leave calls there at SIGTERM, and go on with them at the next start."`

	// LogLevel is the least that is logged.
	LogLevel string `yaml:"log_level" name:"log-level" default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"debug, info, warn or error."`
	// LogFormat is text for people or json for collectors.
	LogFormat string `yaml:"log_format" name:"log-format" default:"text" enum:"text,json" placeholder:"FORMAT" help:"text or json."`
}

// NoticeShipped as Settings.NoticeTemplate are the server's own words.
const NoticeShipped = "default"

// The values of Settings.Engine.
const (
	EngineSIP      = "sip"
	EngineAsterisk = "asterisk"
)

// The values of Settings.Recognizer.
const (
	RecognizerVosk   = "vosk"
	RecognizerOpenAI = "openai"
	RecognizerYandex = "yandex"
)

// URL is the public address without a slash at its end.
func (s *Settings) URL() string {
	if s.PublicURL != "" {
		return trimSlash(s.PublicURL)
	}
	return "http://" + s.HTTP
}
