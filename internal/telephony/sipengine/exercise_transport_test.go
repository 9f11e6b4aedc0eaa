package sipengine_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/sipengine"
)

// Two engines, one the other's phone: it registers, is called on the
// connection it keeps open, and calls.
func TestAPhoneIsReachedOverEveryTransport(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			calls := make(chan telephony.Leg, 1)
			cert := selfSigned(t)
			server := startEngine(t, sipengine.Config{
				TLSAddr:   "127.0.0.1:0",
				TLS:       &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
				Directory: place{operator: directory.Operator{Extension: "101", Password: "secret"}},
				Handler: func(ctx context.Context, l telephony.Leg) {
					calls <- l
					<-ctx.Done()
				},
			})
			port := server.Addr().Port()
			trusted := x509.NewCertPool()
			if transport == "tls" {
				port = server.TLSAddr().Port()
				trusted.AddCert(cert.Leaf)
			}
			phone := startEngine(t, sipengine.Config{
				TLSAddr: "127.0.0.1:0",
				TLS:     &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: trusted, MinVersion: tls.VersionTLS12},
				Directory: place{trunks: []directory.Trunk{{
					Name: "server", Host: "127.0.0.1", Port: int(port), Transport: transport, Username: "101", Password: "secret", Register: true,
				}}},
				Handler: func(ctx context.Context, l telephony.Leg) {
					if err := l.Answer(ctx); err == nil {
						_ = l.Play(ctx, telephony.Prompt{Clip: tone.Sine(700, time.Minute, 8000, 8000)}) // until the leg ends
					}
				},
			})
			until(t, "the phone is registered", func() bool { return server.DeviceState("101") == telephony.NotInUse })

			l, err := server.Dial(t.Context(), telephony.Dial{Leg: "m1", Operator: "101", Timeout: 30 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			e := &ear{}
			l.Record(e)
			until(t, "the phone is heard", func() bool { return e.hears(700) })
			l.Hangup(0)
			until(t, "the phone is free", func() bool { return server.DeviceState("101") == telephony.NotInUse })

			type result struct {
				leg telephony.Leg
				err error
			}
			done := make(chan result, 1)
			go func() {
				l, err := phone.Dial(t.Context(), telephony.Dial{Leg: "x", Trunk: "server", Number: "+74951234567", Timeout: 30 * time.Second})
				done <- result{l, err}
			}()
			select {
			case in := <-calls:
				if i := in.Info(); i.Operator != "101" || i.To != "+74951234567" {
					t.Errorf("%+v", i)
				}
				if err := in.Answer(t.Context()); err != nil {
					t.Error(err)
				}
				r := <-done
				if r.err != nil {
					t.Fatal(r.err)
				}
				r.leg.Hangup(0)
				select {
				case <-in.Context().Done():
				case <-time.After(30 * time.Second):
					t.Error("the call has not ended")
				}
				var h *telephony.HangupError
				if !errors.As(context.Cause(in.Context()), &h) || h.By != telephony.ByFar {
					t.Errorf("%v", context.Cause(in.Context()))
				}
			case r := <-done:
				t.Fatalf("no call came in: %v", r.err)
			}
		})
	}
}

// selfSigned is a certificate for loopback.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// ear is a media.Track that listens for a tone.
type ear struct {
	mu    sync.Mutex
	codec media.Codec
	heard []int16
}

func (e *ear) Packet(_ time.Time, c media.Codec, _, _ uint32, payload []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.codec = c
	e.heard = codec.NewDecoder(c).Decode(e.heard, payload)
}
func (*ear) PlayStarted(time.Time, string, bool, time.Duration) {}
func (*ear) PlayEnded(time.Time, string)                        {}

func (e *ear) hears(freq float64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.codec.SampleRate() / 5
	return len(e.heard) > n && tone.Strength(e.heard[len(e.heard)-n:], e.codec.SampleRate(), freq) > 0.8
}
