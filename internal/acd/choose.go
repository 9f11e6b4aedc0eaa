package acd

import (
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
)

// choose picks whom a caller rings, of the candidates, of whom there is at least
// one, in the order of the members.
func (h *Hall) choose(q *queue, candidates []string) []string {
	one := candidates[0]
	switch q.settings.Strategy {
	case directory.StrategyRingAll:
		return candidates
	case directory.StrategyRoundRobin:
		one = q.after(candidates)
	case directory.StrategyLeastRecent:
		one = least(candidates, func(extension string) time.Time { return h.member(q, extension).lastCall }, time.Time.Compare)
	case directory.StrategyFewestCalls:
		one = least(candidates, func(extension string) int { return q.taken[extension] }, func(a, b int) int { return a - b })
	case directory.StrategyRandom:
		one = candidates[h.intn(len(candidates))]
	case directory.StrategyWeighted:
		one = h.weighted(q, candidates)
	}
	return []string{one}
}

// after is the first candidate behind him who was rung last, in the circle of
// the members.
func (q *queue) after(candidates []string) string {
	at := slices.Index(q.settings.Members, q.last) + 1
	circle := slices.Concat(q.settings.Members[at:], q.settings.Members[:at])
	i := slices.IndexFunc(circle, func(extension string) bool { return slices.Contains(candidates, extension) })
	return circle[i]
}

// least is the candidate with the least of something; of several the first.
func least[T any](candidates []string, of func(string) T, compare func(a, b T) int) string {
	return slices.MinFunc(candidates, func(a, b string) int { return compare(of(a), of(b)) })
}

// weighted picks at random, a member with weight 2 twice as often as one with 1.
func (h *Hall) weighted(q *queue, candidates []string) string {
	sum := 0
	for _, extension := range candidates {
		sum += q.settings.Weight(extension)
	}
	n := h.intn(sum)
	for _, extension := range candidates {
		if n -= q.settings.Weight(extension); n < 0 {
			return extension
		}
	}
	return candidates[0]
}
