package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	packetsDesc = prometheus.NewDesc("perezvon_rtp_packets_total", "RTP packets, by direction.", []string{"direction"}, nil)
	lostDesc    = prometheus.NewDesc("perezvon_rtp_lost_total", "RTP packets that never arrived.", nil, nil)
	refusedDesc = prometheus.NewDesc("perezvon_rtp_refused_total", "RTP packets from strangers.", nil, nil)
)

// packetCollector reads the engine's counters when somebody asks.
type packetCollector struct{ read func() Packets }

// Describe implements prometheus.Collector.
func (c *packetCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- packetsDesc
	ch <- lostDesc
	ch <- refusedDesc
}

// Collect implements prometheus.Collector.
func (c *packetCollector) Collect(ch chan<- prometheus.Metric) {
	p := c.read()
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	counter(packetsDesc, p.Received, "received")
	counter(packetsDesc, p.Sent, "sent")
	counter(lostDesc, p.Lost)
	counter(refusedDesc, p.Refused)
}

func code(sip int) string { return strconv.Itoa(sip) }
