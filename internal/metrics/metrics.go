// Package metrics counts what an operator of the server watches, for
// Prometheus: calls by outcome, how quickly they start, packets, events lost.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
)

// Packets are the engine's counters of RTP packets since its start.
type Packets struct {
	Received, Sent uint64
	// Lost never arrived (by their sequence numbers); Refused came from a
	// source that is not the far end's.
	Lost, Refused uint64
}

// Metrics holds the counters. Make it with New.
type Metrics struct {
	registry *prometheus.Registry
	ended    *prometheus.CounterVec
	toInvite prometheus.Histogram
	answer   *prometheus.HistogramVec
	failures *prometheus.CounterVec
	waiting  *prometheus.GaugeVec
	waited   *prometheus.HistogramVec

	accepted map[string]time.Time // callbacks that have dialled nobody yet; Observe's own
}

// New makes the counters. Live gives the number of calls that are alive now,
// packets the engine's counters; either may be nil. The outcomes of
// call.Statuses are there from the start, so that rates are right from the
// first call on.
func New(version string, live func() int, packets func() Packets) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perezvon_calls_ended_total", Help: "Calls that ended, by outcome.",
		}, []string{"status"}),
		toInvite: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "perezvon_request_to_invite_seconds", Help: "From the acceptance of a callback to its first INVITE.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .5, 2},
		}),
		answer: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "perezvon_answer_seconds", Help: "From dialling to the answer, by whose phone it was.",
			Buckets: []float64{1, 2, 5, 10, 15, 20, 30, 45, 60, 120},
		}, []string{"role"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perezvon_trunk_failures_total", Help: "Dials through a trunk that failed, by SIP code (0: no answer came).",
		}, []string{"trunk", "code"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "perezvon_queue_waiting", Help: "Callers on the line who wait in a queue.",
		}, []string{"queue"}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "perezvon_queue_wait_seconds", Help: "How long callers were in a queue, by how they left it.",
			Buckets: []float64{5, 10, 20, 30, 60, 120, 300, 600, 1800},
		}, []string{"queue", "reason"}),
		accepted: make(map[string]time.Time),
	}
	for _, s := range call.Statuses() {
		m.ended.WithLabelValues(s.Slug)
	}
	m.registry.MustRegister(m.ended, m.toInvite, m.answer, m.failures, m.waiting, m.waited,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "perezvon_build_info", Help: "1, with the version as a label.", ConstLabels: prometheus.Labels{"version": version},
		}, func() float64 { return 1 }))
	if live != nil {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "perezvon_calls_live", Help: "Calls that are alive.",
		}, func() float64 { return float64(live()) }))
	}
	if packets != nil {
		m.registry.MustRegister(&packetCollector{packets})
	}
	return m
}

// Registry takes further collectors.
func (m *Metrics) Registry() prometheus.Registerer { return m.registry }

// Handler serves the counters.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Observe counts an event of a call's timeline; give it to httpapi.NewFeed.
// One event at a time.
func (m *Metrics) Observe(e call.Event) {
	switch e.Type {
	case call.Created:
		if e.Direction == call.Callback {
			m.accepted[e.CallID] = e.At
		}
	case call.Dialing:
		if at, ok := m.forget(e.CallID); ok {
			m.toInvite.Observe(e.At.Sub(at).Seconds())
		}
	case call.Answered:
		m.answer.WithLabelValues(string(e.Role)).Observe(float64(e.ElapsedMS) / 1000)
	case call.DialFailed:
		if e.Trunk != "" {
			m.failures.WithLabelValues(e.Trunk, code(e.SIPCode)).Inc()
		}
	case call.QueueJoined:
		if e.Leg != "" { // else he is not on the line
			m.waiting.WithLabelValues(e.Queue).Inc()
		}
	case call.QueueLeft:
		m.queueLeft(e)
	case call.Ended:
		m.forget(e.CallID)
		if e.Status != nil {
			m.ended.WithLabelValues(e.Status.Slug).Inc()
		}
	}
}

func (m *Metrics) queueLeft(e call.Event) {
	if e.Leg == "" {
		return
	}
	switch acd.End(e.Reason) {
	case acd.Full, acd.Empty: // he did not join
	default:
		m.waiting.WithLabelValues(e.Queue).Dec()
	}
	m.waited.WithLabelValues(e.Queue, e.Reason).Observe(float64(e.ElapsedMS) / 1000)
}

func (m *Metrics) forget(callID string) (time.Time, bool) {
	at, ok := m.accepted[callID]
	delete(m.accepted, callID)
	return at, ok
}
