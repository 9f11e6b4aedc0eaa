package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
)

var (
	twoLetters = regexp.MustCompile(`^[A-Z]{2}$`)
	keys       = regexp.MustCompile(`^[0-9*#]{1,5}$`)
	// A code with * or # before it is no extension and no number.
	serviceCode = regexp.MustCompile(`^[*#][0-9*#]{1,9}$`)
)

// Validate tells everything that is wrong with the settings, joined; each
// problem starts with the flag it is about.
func (s *Settings) Validate() error {
	var problems []error
	wrong := func(flag, format string, args ...any) {
		problems = append(problems, fmt.Errorf("--"+flag+": "+format, args...))
	}
	if s.Data == "" {
		wrong("data", "must name a folder")
	}
	for _, a := range []struct {
		flag, addr string
		optional   bool
	}{{"http", s.HTTP, false}, {"sip", s.SIP, false}, {"sip-tls", s.SIPTLS, true}, {"agi", s.AGI, true}} {
		if a.addr == "" && a.optional {
			continue
		}
		if err := address(a.addr); err != nil {
			wrong(a.flag, "%w", err)
		}
	}
	if s.PublicURL != "" {
		if err := webAddress(s.PublicURL); err != nil {
			wrong("public-url", "%w", err)
		}
	}
	if s.SIPTLS != "" && (s.TLSCert == "" || s.TLSKey == "") {
		wrong("sip-tls", "needs --tls-cert and --tls-key")
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		wrong("tls-cert", "--tls-cert and --tls-key go together")
	}
	if s.SIPAdvertise.IsValid() && s.SIPAdvertise.IsUnspecified() {
		wrong("sip-advertise", "%s is no address that others can reach", s.SIPAdvertise)
	}
	if p := s.RTPPorts; p.Low < 1024 || p.High-p.Low < 3 {
		wrong("rtp-ports", "%s: must start at 1024 or above and have at least four ports", p)
	}
	if d := s.MediaTimeout; d != 0 && (d < 5*time.Second || d > time.Hour) {
		wrong("media-timeout", "%s: must be 5s to 1h, or 0", d)
	}
	if d := s.Drain; d < 0 || d > 24*time.Hour {
		wrong("drain", "%s: must be 0 to 24h", d)
	}
	s.validateTransfers(wrong)
	s.validatePickup(wrong)
	s.validateNotices(wrong)
	if !twoLetters.MatchString(s.Region) {
		wrong("region", "%q: must be the two capital letters of a country (ISO 3166-1), like RU", s.Region)
	}
	if s.Engine == EngineAsterisk {
		if err := webAddress(s.ARIURL); err != nil {
			wrong("ari-url", "%w", err)
		}
		if s.ARIUsername == "" {
			wrong("ari-username", "is needed with --engine asterisk")
		}
	}
	s.validateFreePBX(wrong)
	s.validateRecognizer(wrong)
	return errors.Join(problems...)
}

func (s *Settings) validateFreePBX(wrong func(flag, format string, args ...any)) {
	if s.AGI == "" && len(s.AGIAllow) > 0 {
		wrong("agi-allow", "needs --agi")
	}
	if s.FreePBX != "" {
		// The text is not repeated: it holds a password.
		if u, err := url.Parse(string(s.FreePBX)); err != nil || u.Scheme != "mysql" {
			wrong("freepbx", "must be mysql://user:password@host:port/asteriskcdrdb")
		}
	}
	if d := s.FreePBXEvery; d < time.Second || d > time.Hour {
		wrong("freepbx-every", "%s: must be 1s to 1h", d)
	}
	if _, err := time.LoadLocation(s.FreePBXTimezone); err != nil {
		wrong("freepbx-timezone", "%q: must be a time zone like Europe/Moscow", s.FreePBXTimezone)
	}
}

func (s *Settings) validateTransfers(wrong func(flag, format string, args ...any)) {
	type code struct{ flag, keys string }
	for _, together := range [][2]code{
		{{"transfer-attended", s.TransferAttended}, {"transfer-blind", s.TransferBlind}},
		{{"transfer-back", s.TransferBack}, {"transfer-three-way", s.TransferThreeWay}},
	} {
		for i, c := range together {
			if c.keys != "" && !keys.MatchString(c.keys) {
				wrong(c.flag, "%q: must be one to five of 0-9, * and #", c.keys)
			}
			if other := together[1-i]; c.keys != "" && other.keys != "" && strings.HasPrefix(other.keys, c.keys) {
				wrong(c.flag, "%q: --%s %q begins with it, so it could never be pressed", c.keys, other.flag, other.keys)
			}
		}
	}
	for _, t := range []struct {
		flag           string
		d, least, most time.Duration
	}{
		{"transfer-digit-timeout", s.TransferDigitTimeout, 100 * time.Millisecond, 10 * time.Second},
		{"transfer-inter-digit-timeout", s.TransferInterDigitTimeout, time.Second, 30 * time.Second},
		{"transfer-ring", s.TransferRing, time.Second, 5 * time.Minute},
	} {
		if t.d < t.least || t.d > t.most {
			wrong(t.flag, "%s: must be %s to %s", t.d, t.least, t.most)
		}
	}
}

func (s *Settings) validatePickup(wrong func(flag, format string, args ...any)) {
	if s.PickupCode != "" && !serviceCode.MatchString(s.PickupCode) {
		wrong("pickup-code", "%q: must be * or # and one to nine of 0-9, * and #", s.PickupCode)
	}
	switch {
	case s.PickupAnyCode == "":
	case !serviceCode.MatchString(s.PickupAnyCode):
		wrong("pickup-any-code", "%q: must be * or # and one to nine of 0-9, * and #", s.PickupAnyCode)
	case s.PickupAnyCode == s.NoticeCode:
		wrong("pickup-any-code", "%q: is --notice-code as well", s.PickupAnyCode)
	}
	if s.PickupCode != "" && strings.HasPrefix(s.NoticeCode, s.PickupCode) {
		wrong("pickup-code", "%q: --notice-code %q begins with it", s.PickupCode, s.NoticeCode)
	}
}

func (s *Settings) validateNotices(wrong func(flag, format string, args ...any)) {
	if s.NoticeCode != "" && !serviceCode.MatchString(s.NoticeCode) {
		wrong("notice-code", "%q: must be * or # and one to nine of 0-9, * and #", s.NoticeCode)
	}
	for _, mask := range s.NoticeAllow {
		if _, err := directory.ParseMask(mask); err != nil {
			wrong("notice-allow", "%q: %w", mask, err)
		}
	}
	if d := s.NoticeMax; d < time.Second || d > 5*time.Minute {
		wrong("notice-max", "%s: must be 1s to 5m", d)
	}
}

func (s *Settings) validateRecognizer(wrong func(flag, format string, args ...any)) {
	if s.Recognizer == "" {
		if s.RecognizerURL != "" || s.RecognizerKey != "" {
			wrong("recognizer", "say which it is that --recognizer-url and --recognizer-key are of: vosk, openai or yandex")
		}
		return
	}
	schemes := []string{"http", "https"}
	if s.Recognizer == RecognizerVosk {
		schemes = []string{"ws", "wss"}
	}
	if s.RecognizerURL != "" || s.Recognizer == RecognizerVosk {
		if err := serviceAddress(s.RecognizerURL, schemes...); err != nil {
			wrong("recognizer-url", "%w", err)
		}
	}
	if s.RecognizerKey == "" && (s.Recognizer == RecognizerYandex || s.Recognizer == RecognizerOpenAI && s.RecognizerURL == "") {
		wrong("recognizer-key", "is needed with --recognizer %s", s.Recognizer)
	}
	if strings.ContainsFunc(string(s.RecognizerKey), func(r rune) bool { return r <= ' ' || r > '~' }) {
		wrong("recognizer-key", "has characters that no key has")
	}
	if l := s.RecognizerLanguage; l != "" && !languageTag.MatchString(l) {
		wrong("recognizer-language", "%q is no language: write ru, en, en-GB…", l)
	}
}

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)

func address(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return fmt.Errorf("%q is not host:port", a)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: %q is not a port (0 to 65535)", a, port)
	} else if n == 0 && host == "" {
		return fmt.Errorf("%q: names neither host nor port", a)
	}
	return nil
}

func webAddress(a string) error { return serviceAddress(a, "http", "https") }

func serviceAddress(a string, schemes ...string) error {
	u, err := url.Parse(a)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" {
		return fmt.Errorf("%q is not an %s:// address", a, strings.Join(schemes, ":// or "))
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%q: must have no user, query or fragment", u.Redacted())
	}
	return nil
}
