package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/perezvon/perezvon/internal/localasterisk"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/softphone"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// system makes calls between phones: what is measured.
type system interface {
	// processes are those whose time and memory its calls cost.
	processes() []process
	// line is where the phones are connected, and as whom they register.
	line() softphone.Config
	// connect makes the phones at addr known to it: all calls go there.
	connect(ctx context.Context, addr string) error
	// call asks for a call of a manager and a client.
	call(ctx context.Context, manager, client string) (id string, err error)
	// completed waits until calls that talked for at least d are over, and
	// counts those that ended well.
	completed(ctx context.Context, ids []string, d time.Duration) (int, error)
	stop() error
}

// process is one whose use of the machine counts.
type process struct {
	name string // server, asterisk
	pid  int
}

// trunk is the phones' name: of the server's trunk, and of Asterisk's endpoint.
const trunk = "bench"

// server is `perezvon serve`, by itself or with an Asterisk that it drives.
type server struct {
	srv   *serverproc.Process
	node  *node // nil: it has its own SIP and RTP
	codec media.Codec
}

func startServer(ctx context.Context, c Calls, e Engine, log io.Writer) (_ *server, err error) {
	s := &server{codec: c.Codec}
	o := serverproc.Options{
		Binary: c.Binary, Log: log,
		Args: []string{"--rtp-ports", "20000-31999", "--log-level", "warn", "--drain", "1s"},
	}
	if e == OnAsterisk {
		if s.node, err = startNode(ctx, localasterisk.Options{}, c.Codec); err != nil {
			return nil, err
		}
		o.Args = append(o.Args, "--engine", "asterisk", "--ari-url", s.node.URL, "--ari-username", s.node.User)
		o.Env = []string{"PEREZVON_ARI_PASSWORD=" + s.node.Password}
	}
	if s.srv, err = serverproc.Start(ctx, o); err != nil {
		if s.node != nil {
			s.node.Stop()
		}
		return nil, err
	}
	return s, nil
}

func (s *server) processes() []process {
	all := []process{{"server", s.srv.PID()}}
	if s.node != nil {
		all = append(all, process{"Asterisk", s.node.PID()})
	}
	return all
}

func (s *server) line() softphone.Config {
	if s.node != nil {
		return s.node.line()
	}
	return softphone.Config{Server: s.srv.SIP}
}

func (s *server) connect(ctx context.Context, addr string) error {
	settings := map[string]any{"name": trunk, "endpoint": trunk}
	if s.node == nil {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return err
		}
		settings = map[string]any{"name": trunk, "host": host, "port": n, "codecs": []string{s.codec.Name()}}
	}
	return s.srv.API.Do(ctx, http.MethodPost, "/api/v1/trunks", settings, nil)
}

func (s *server) call(ctx context.Context, manager, client string) (string, error) {
	var accepted struct {
		ID string `json:"id"`
	}
	err := s.srv.API.Do(ctx, http.MethodPost, "/api/v1/callbacks", map[string]any{
		"managers": "+" + manager, "client": "+" + client, "trunk": trunk, "client_delay_ms": 0,
	}, &accepted)
	return accepted.ID, err
}

// completed believes the status.
func (s *server) completed(ctx context.Context, ids []string, _ time.Duration) (n int, err error) {
	for _, id := range ids {
		var cb struct {
			Attempts []struct {
				Status *struct{ Code int } `json:"status"`
			} `json:"attempts"`
		}
		for {
			if err := s.srv.API.Do(ctx, http.MethodGet, "/api/v1/callbacks/"+id, nil, &cb); err != nil {
				return n, err
			}
			if len(cb.Attempts) > 0 && cb.Attempts[0].Status != nil && cb.Attempts[0].Status.Code != 0 {
				break
			}
			if err := sleep(ctx, 50*time.Millisecond); err != nil {
				return n, err
			}
		}
		if cb.Attempts[0].Status.Code == 200 {
			n++
		}
	}
	return n, nil
}

func (s *server) stop() error {
	err := s.srv.Stop()
	if s.node != nil {
		s.node.Stop()
	}
	return err
}

// node is a real Asterisk with one endpoint, where the phones are registered.
type node struct {
	*localasterisk.Asterisk
}

func startNode(ctx context.Context, o localasterisk.Options, codec media.Codec) (*node, error) {
	format, ok := formats[codec]
	if !ok {
		return nil, fmt.Errorf("no format of Asterisk for %s", codec.Name())
	}
	o.PJSIP = fmt.Sprintf(`[%[1]s]
type = endpoint
aors = %[1]s
auth = %[1]s
disallow = all
allow = %[2]s
direct_media = no

[%[1]s]
type = aor
max_contacts = 1

[%[1]s]
type = auth
auth_type = userpass
username = %[1]s
password = %[1]s
`, trunk, format)
	a, err := localasterisk.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return &node{a}, nil
}

// formats are Asterisk's names of our codecs.
var formats = map[media.Codec]string{media.PCMA: "alaw", media.PCMU: "ulaw", media.G722: "g722"}

func (n *node) line() softphone.Config {
	return softphone.Config{Server: n.SIP.String(), User: trunk, Password: trunk}
}

// dialplan is an Asterisk that nobody drives.
type dialplan struct {
	*node
	ari *ari.Client
	ids int
}

// recorded is the folder of MixMonitor's files within Asterisk's own.
const recorded = "monitor"

func startDialplan(ctx context.Context, c Calls) (*dialplan, error) {
	n, err := startNode(ctx, localasterisk.Options{
		Modules: []string{"app_dial.so", "app_mixmonitor.so"},
		Extensions: "[" + trunk + "]\n" +
			"exten => _X!,1,MixMonitor(${CHANNEL(uniqueid)}.wav)\n" +
			" same => n,Dial(PJSIP/${EXTEN}@" + trunk + ")\n" +
			" same => n,Hangup()\n",
	}, c.Codec)
	if err != nil {
		return nil, err
	}
	client, err := ari.New(ari.Config{URL: n.URL, User: n.User, Password: n.Password, App: localasterisk.App})
	if err != nil {
		n.Stop()
		return nil, err
	}
	return &dialplan{node: n, ari: client}, nil
}

func (d *dialplan) processes() []process { return []process{{"Asterisk", d.PID()}} }

func (d *dialplan) connect(context.Context, string) error { return nil }

func (d *dialplan) call(ctx context.Context, manager, client string) (string, error) {
	d.ids++
	id := "call-" + strconv.Itoa(d.ids)
	return id, d.ari.Originate(ctx, id, "PJSIP/"+manager+"@"+trunk, trunk, client)
}

// completed counts the recordings that are as long as the talk.
func (d *dialplan) completed(ctx context.Context, ids []string, talk time.Duration) (n int, err error) {
	const bytesPerSecond = 2 * 8000
	for _, id := range ids {
		for {
			_, err := d.ari.Channel(ctx, id)
			if ari.Gone(err) {
				break
			}
			if err != nil {
				return n, err
			}
			if err := sleep(ctx, 50*time.Millisecond); err != nil {
				return n, err
			}
		}
		file, err := os.Stat(filepath.Join(d.Dir(), recorded, id+".wav"))
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return n, err
		case file.Size() >= int64(talk.Seconds()*bytesPerSecond):
			n++
		}
	}
	return n, nil
}

func (d *dialplan) stop() error {
	d.ari.Close()
	d.Stop()
	return nil
}
