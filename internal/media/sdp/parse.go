package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// What a description may hold at most; a phone's has a tenth of it.
const (
	maxSize    = 64 << 10
	maxMedia   = 32
	maxFormats = 64
)

// staticFormats are the payload types that need no rtpmap (RFC 3551 §6) and
// are still met, also those we do not speak.
var staticFormats = map[uint8]Format{
	0:  {PT: 0, Name: "PCMU", Clock: 8000},
	3:  {PT: 3, Name: "GSM", Clock: 8000},
	4:  {PT: 4, Name: "G723", Clock: 8000},
	8:  {PT: 8, Name: "PCMA", Clock: 8000},
	9:  {PT: 9, Name: "G722", Clock: 8000},
	13: {PT: 13, Name: "CN", Clock: 8000},
	18: {PT: 18, Name: "G729", Clock: 8000},
}

// section is the lines of one m= line, or those before the first.
type section struct {
	mediaLine
	connection string   // the last c= line
	attributes []string // a= lines
}

// Parse reads a description. Of several audio streams it takes the first that
// is not refused and not encrypted. The errors are those of the package.
func Parse(b []byte) (*Session, error) {
	if len(b) > maxSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	s := &Session{}
	var session section
	var media []section
	at := &session
	for line := range strings.FieldsFuncSeq(string(b), func(r rune) bool { return r == '\r' || r == '\n' }) {
		kind, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch kind {
		case "o":
			s.Origin = parseOrigin(value)
		case "c":
			at.connection = value
		case "a":
			at.attributes = append(at.attributes, value)
		case "m":
			m, err := parseMedia(value)
			if err != nil {
				return nil, err
			}
			if len(media) == maxMedia {
				return nil, fmt.Errorf("%w: too many streams", ErrMalformed)
			}
			media = append(media, section{mediaLine: m})
			at = &media[len(media)-1]
			s.media = append(s.media, m)
		}
	}
	var err error
	if s.audio, err = chooseAudio(s.media); err != nil {
		return nil, err
	}
	return s, s.read(&session, &media[s.audio])
}

// parseOrigin takes the fields from the right, since a user may hold spaces.
func parseOrigin(value string) Origin {
	f := strings.Fields(value)
	n := len(f)
	if n < 5 {
		return Origin{}
	}
	return Origin{User: strings.Join(f[:n-5], " "), SessionID: f[n-5], Version: f[n-4], Addr: f[n-1]}
}

// parseMedia reads an m= line. What it lets through may be written back into
// an answer.
func parseMedia(value string) (mediaLine, error) {
	f := strings.Fields(value)
	if len(f) < 3 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }) {
		return mediaLine{}, fmt.Errorf("%w: m=%q", ErrMalformed, value)
	}
	number, _, _ := strings.Cut(f[1], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return mediaLine{}, fmt.Errorf("%w: m=%q", ErrMalformed, value)
	}
	return mediaLine{kind: strings.ToLower(f[0]), port: int(port), proto: f[2], formats: f[3:min(len(f), 3+maxFormats)]}, nil
}

func chooseAudio(media []mediaLine) (int, error) {
	err := ErrNoAudio
	for i, m := range media {
		if m.kind != "audio" || m.port == 0 {
			continue
		}
		switch proto := strings.ToUpper(m.proto); {
		case proto == "RTP/AVP", proto == "RTP/AVPF":
			return i, nil
		case strings.Contains(proto, "SAVP"):
			err = ErrSRTP
		}
	}
	return 0, err
}

// read fills s from the lines of the session and of its audio stream, which
// has the last word.
func (s *Session) read(session, audio *section) error {
	rtcp := ""
	maps, params := make(map[uint8]Format), make(map[uint8]string)
	for _, a := range append(session.attributes, audio.attributes...) {
		name, value, _ := strings.Cut(a, ":")
		value = strings.TrimSpace(value)
		name = strings.ToLower(strings.TrimSpace(name))
		if d, ok := directionByName(name); ok {
			s.Direction = d
			continue
		}
		switch name {
		case "ptime":
			s.Ptime = parsePtime(value)
		case "rtcp":
			rtcp = value
		case "rtpmap":
			if f, ok := parseRtpmap(value); ok {
				maps[f.PT] = f
			}
		case "fmtp":
			if pt, rest, ok := cutPT(value); ok {
				params[pt] = rest
			}
		}
	}
	s.readFormats(audio.formats, maps, params)

	connection := audio.connection
	if connection == "" {
		connection = session.connection
	}
	addr, err := s.address(connection)
	if err != nil {
		return err
	}
	if !addr.IsValid() {
		return nil
	}
	s.Addr = netip.AddrPortFrom(addr, uint16(audio.port))
	s.RTCP = rtcpAddr(s.Addr, rtcp)
	if addr.IsUnspecified() { // RFC 3264 §8.4
		s.Direction = s.Direction.And(SendOnly)
	}
	return nil
}

func (s *Session) readFormats(numbers []string, maps map[uint8]Format, params map[uint8]string) {
	for _, number := range numbers {
		pt, err := strconv.ParseUint(number, 10, 7)
		if err != nil {
			continue
		}
		f, ok := maps[uint8(pt)]
		if !ok {
			if f, ok = staticFormats[uint8(pt)]; !ok {
				f.PT = uint8(pt)
			}
		}
		f.Fmtp = params[f.PT]
		s.Formats = append(s.Formats, f)
		if s.EventPT == 0 && strings.EqualFold(f.Name, "telephone-event") && f.Clock == 8000 {
			s.EventPT = f.PT
		}
	}
}

// address reads a c= line, "IN IP4 192.0.2.1" with perhaps "/ttl" behind;
// without one the address of the origin has to do. A host name gives the zero
// address.
func (s *Session) address(connection string) (netip.Addr, error) {
	name := s.Origin.Addr
	if f := strings.Fields(connection); len(f) >= 3 {
		name, _, _ = strings.Cut(f[2], "/")
	}
	if name == "" {
		return netip.Addr{}, ErrNoAddress
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return netip.Addr{}, nil
	}
	if addr = addr.Unmap().WithZone(""); addr.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("%w: %s is a group", ErrNoAddress, addr)
	}
	return addr, nil
}

// rtcpAddr reads a=rtcp, "53020" or "53020 IN IP4 192.0.2.2".
func rtcpAddr(rtp netip.AddrPort, value string) netip.AddrPort {
	f := strings.Fields(value)
	if len(f) > 0 {
		if port, err := strconv.ParseUint(f[0], 10, 16); err == nil && port > 0 {
			addr := rtp.Addr()
			if len(f) >= 4 {
				if a, err := netip.ParseAddr(f[3]); err == nil && !a.IsMulticast() {
					addr = a.Unmap().WithZone("")
				}
			}
			return netip.AddrPortFrom(addr, uint16(port))
		}
	}
	if rtp.Port() == 1<<16-1 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(rtp.Addr(), rtp.Port()+1)
}

// parsePtime reads milliseconds, perhaps with a fraction.
func parsePtime(value string) time.Duration {
	ms, err := strconv.ParseFloat(value, 64)
	if err != nil || !(ms >= 10 && ms <= 200) {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// parseRtpmap reads "101 telephone-event/8000".
func parseRtpmap(value string) (Format, bool) {
	pt, rest, ok := cutPT(value)
	if !ok {
		return Format{}, false
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 2 {
		return Format{}, false
	}
	clock, err := strconv.ParseUint(strings.TrimSpace(parts[1]), 10, 31)
	if err != nil {
		return Format{}, false
	}
	return Format{PT: pt, Name: strings.TrimSpace(parts[0]), Clock: int(clock)}, true
}

// cutPT splits "101 rest" at the spaces.
func cutPT(value string) (pt uint8, rest string, ok bool) {
	number, rest, ok := strings.Cut(value, " ")
	n, err := strconv.ParseUint(number, 10, 7)
	return uint8(n), strings.TrimSpace(rest), ok && err == nil
}
