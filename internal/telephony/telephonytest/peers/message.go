package peers

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Message is a SIP message as sipp traced it.
type Message struct {
	Received bool // by sipp; otherwise it sent it
	Text     string
}

// Method is that of a request, empty for a response.
func (m Message) Method() string {
	method, rest, ok := strings.Cut(m.Text, " ")
	if !ok || strings.HasPrefix(method, "SIP/") || rest == "" {
		return ""
	}
	return method
}

// Status is that of a response ("180"), empty for a request.
func (m Message) Status() string {
	if fields := strings.Fields(m.Text); len(fields) > 1 && fields[0] == "SIP/2.0" {
		return fields[1]
	}
	return ""
}

// Header is the value of the first header of that name, as it is written in
// full ("From").
func (m Message) Header(name string) string {
	head, _, _ := strings.Cut(m.Text, "\n\n")
	for line := range strings.Lines(head) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (m Message) isRequest() bool { return m.Method() != "" }
func (m Message) isInvite() bool  { return strings.HasSuffix(m.Header("CSeq"), "INVITE") }

var (
	mediaPort = regexp.MustCompile(`(?m)^m=audio (\d+) `)
	mediaIP   = regexp.MustCompile(`(?m)^c=IN IP4 (\S+)`)
)

// media is where the sender of the message wants RTP.
func (m Message) media() (netip.AddrPort, bool) {
	port, ip := mediaPort.FindStringSubmatch(m.Text), mediaIP.FindStringSubmatch(m.Text)
	if port == nil || ip == nil {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port[1], 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, false
	}
	addr, err := netip.ParseAddr(ip[1])
	return netip.AddrPortFrom(addr, uint16(n)), err == nil
}

// traceHead begins each message in sipp's trace, after a line with the time.
var traceHead = regexp.MustCompile(`(?m)^-{20,} .*\n\w+ message (sent|received) [(\[](\d+)\]? bytes\)? ?:\n\n`)

// readMessages takes a trace apart; a message whose end is not yet written is
// left out.
func readMessages(trace []byte) []Message {
	var messages []Message
	text := string(trace)
	for _, at := range traceHead.FindAllStringSubmatchIndex(text, -1) {
		size, err := strconv.Atoi(text[at[4]:at[5]])
		if err != nil || at[1]+size > len(text) {
			continue
		}
		body := strings.ReplaceAll(text[at[1]:at[1]+size], "\r\n", "\n")
		messages = append(messages, Message{Received: text[at[2]:at[3]] == "received", Text: body})
	}
	return messages
}
