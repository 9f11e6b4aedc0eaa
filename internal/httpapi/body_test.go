package httpapi

import (
	"context"
	"errors"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perezvon/perezvon/internal/callback"
)

// Whatever comes in: a packet, or an answer that says what is wrong.
func FuzzPacketBody(f *testing.F) {
	for _, seed := range []string{
		`{"managers":"101","client":"+79161234567"}`, `{"managers":[{"number":"1","extension":"2"}],"client":"x^1"}`,
		`{"managers":{},"client":5}`, `[]`, `null`, `{`, `{"Client":1,"client":2}`, `{"attempt":1e400}`, "{\"greeting\":\"\\ud800\"}",
	} {
		f.Add([]byte(seed))
	}
	packet := newBody[callback.Packet](huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer))
	packet.either("managers", &huma.Schema{})
	ctx := context.WithValue(f.Context(), visitorKey{}, visitor{contentType: "application/json"})
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := packet.read(ctx, raw)
		var status huma.StatusError
		if err != nil && (!errors.As(err, &status) || status.GetStatus() < 400 || status.GetStatus() > 422) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzParseEventID(f *testing.F) {
	f.Add("call/1")
	f.Add("/")
	f.Fuzz(func(t *testing.T, s string) {
		if id := ParseEventID(s); id != (EventID{}) && ParseEventID(id.String()) != id {
			t.Errorf("%q gives %+v, which does not come back", s, id)
		}
	})
}
