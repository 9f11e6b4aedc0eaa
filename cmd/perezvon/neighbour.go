package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/freepbx"
	"github.com/perezvon/perezvon/internal/httpapi"
	"github.com/perezvon/perezvon/internal/store"
)

// neighbour is the FreePBX beside this server, if there is one.
type neighbour struct{ *freepbx.FreePBX }

// freePBX makes it, with its counters.
func (c *serveCmd) freePBX(db *store.Store, counters prometheus.Registerer, log *slog.Logger) (neighbour, error) {
	if c.FreePBX == "" {
		return neighbour{}, nil
	}
	var zone *time.Location
	if c.FreePBXTimezone != "" {
		var err error
		if zone, err = time.LoadLocation(c.FreePBXTimezone); err != nil {
			return neighbour{}, fmt.Errorf("--freepbx-timezone: %w", err)
		}
	}
	pbx, err := freepbx.New(freepbx.Config{URL: string(c.FreePBX), Store: db, Account: directory.DefaultAccount, Zone: zone, Logger: log})
	if err != nil {
		return neighbour{}, fmt.Errorf("--freepbx: %w", err)
	}
	for name, value := range map[[2]string]func(freepbx.Stats) float64{
		{"perezvon_freepbx_records_total", "Call records of FreePBX that were read."}:                      func(s freepbx.Stats) float64 { return float64(s.Records) },
		{"perezvon_freepbx_contacts_total", "Call records that tell of an operator and a client."}:         func(s freepbx.Stats) float64 { return float64(s.Contacts) },
		{"perezvon_freepbx_failures_total", "Readings of FreePBX's call records that failed."}:             func(s freepbx.Stats) float64 { return float64(s.Failures) },
		{"perezvon_freepbx_read_timestamp_seconds", "When FreePBX's call records were read last; 0: not."}: readAt,
	} {
		kind := prometheus.CounterValue
		if name[0] == "perezvon_freepbx_read_timestamp_seconds" {
			kind = prometheus.GaugeValue
		}
		counters.MustRegister(&counter{prometheus.NewDesc(name[0], name[1], nil, nil), kind, func() float64 { return value(pbx.Stats()) }})
	}
	return neighbour{pbx}, nil
}

func readAt(s freepbx.Stats) float64 {
	if s.LastRead.IsZero() {
		return 0
	}
	return float64(s.LastRead.UnixMilli()) / 1000
}

// counter is a value that somebody else counts.
type counter struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func() float64
}

// Describe implements prometheus.Collector.
func (c *counter) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector.
func (c *counter) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(c.desc, c.kind, c.value())
}

func (n neighbour) watch(ctx context.Context, every time.Duration) {
	if n.FreePBX != nil {
		n.Watch(ctx, every)
	}
}

func (n neighbour) close() error {
	if n.FreePBX == nil {
		return nil
	}
	return n.Close()
}

// api is the neighbour as the API asks it; nil: there is none.
func (n neighbour) api() httpapi.FreePBX {
	if n.FreePBX == nil {
		return nil
	}
	return n.FreePBX
}
