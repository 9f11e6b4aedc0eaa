package bench

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/perezvon/perezvon/internal/call"
)

// year is over how long the calls of Responsible are spread.
const year = 365 * 24 * time.Hour

const (
	callsOfAClient = 10     // on average
	mostOfAClient  = 10_000 // calls of the client who calls all the time
	operators      = 200    // from firstOperator on
	firstOperator  = 200
)

// contactRows are the calls of a year: the same rows for every database, made
// from their numbers alone. Each has a second of its own, so that the newest of
// a client is one.
type contactRows struct {
	n     int
	start time.Time // the newest is just before it
}

// contactRow is one call: a client has called, and an operator was rung.
type contactRow struct {
	at       time.Time
	client   string // the last ten digits
	src      string // as the carrier wrote it
	operator string
	outcome  call.ContactOutcome
	number   int
}

// mix spreads numbers over 64 bits (splitmix64's finisher).
func mix(i int) uint64 {
	z := uint64(i+1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// frequent is the client who calls all the time; nobody's number is of somebody
// who never has.
const frequent = "8005553535"

func nobodys(i int) string { return fmt.Sprintf("7%09d", i) }

// stride is how many calls there are from one of the frequent client's to his
// next.
func (r contactRows) stride() int { return max(r.n/mostOfAClient, callsOfAClient) }

// row is the call of that number, 0 the oldest.
func (r contactRows) row(i int) contactRow {
	h := mix(i)
	age := time.Duration((float64(r.n-1-i) + 0.5) * float64(year) / float64(r.n))
	row := contactRow{
		at: r.start.Add(-age).Truncate(time.Second), number: i,
		client:   fmt.Sprintf("9%09d", h%uint64(max(r.n/callsOfAClient, 1))),
		operator: fmt.Sprint(firstOperator + h>>20%operators),
	}
	if i%r.stride() == 0 {
		row.client = frequent
	}
	row.src = [...]string{"7", "8", "+7", ""}[h>>40%4] + row.client
	switch dice := h >> 48 % 100; {
	case dice < 70:
		row.outcome = call.ContactAnswered
	case dice < 90:
		row.outcome = call.ContactNoAnswer
	case dice < 97:
		row.outcome = call.ContactBusy
	default:
		row.outcome = call.ContactFailed
	}
	return row
}

// counts tells that a look-up finds such a call.
func (r contactRow) counts() bool { return r.outcome != call.ContactFailed }

// e164 is the whole number, where the carrier wrote its country code.
func (r contactRow) e164() string {
	if strings.HasPrefix(r.src, "+") {
		return r.src
	}
	return ""
}

// id is a UUIDv7 of the call's time.
func (r contactRow) id() string {
	var id uuid.UUID
	ms, h := uint64(r.at.UnixMilli()), mix(-2-r.number)
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	for i := range 8 {
		id[8+i] = byte(h >> (8 * i))
	}
	id[6], id[7], id[8] = 0x70|byte(h)&0x0f, byte(h>>8), 0x80|id[8]&0x3f
	return id.String()
}

// stream is every row as one line of a bulk load. Close it, or its writer stays.
func (r contactRows) stream(line func(contactRow) string) *io.PipeReader {
	reader, pipe := io.Pipe()
	go func() {
		w := bufio.NewWriterSize(pipe, 1<<16)
		for i := range r.n {
			if _, err := w.WriteString(line(r.row(i))); err != nil {
				break // closed
			}
		}
		_ = pipe.CloseWithError(w.Flush())
	}()
	return reader
}
