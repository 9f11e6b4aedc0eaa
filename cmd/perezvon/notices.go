package main

import (
	"context"
	"fmt"

	"github.com/perezvon/perezvon/internal/config"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/notice"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/speech/prompts"
)

// noticeRules are what the settings say of operators' notices.
func (c *serveCmd) noticeRules(ctx context.Context, spoken *speech.Library, v speech.Voice) (scenario.NoticeRules, error) {
	rules := scenario.NoticeRules{Code: c.NoticeCode, Most: c.NoticeMax, Template: c.NoticeTemplate}
	for _, text := range c.NoticeAllow {
		mask, err := directory.ParseMask(text)
		if err != nil {
			return rules, fmt.Errorf("--notice-allow: %w", err)
		}
		rules.Allow = append(rules.Allow, mask)
	}
	for why, on := range map[string]bool{
		scenario.MissedNoAnswer: c.NoticeNoAnswer, scenario.MissedBusy: c.NoticeBusy, scenario.MissedUnavailable: c.NoticeUnavailable,
	} {
		if on {
			rules.On = append(rules.On, why)
		}
	}
	if rules.Template == config.NoticeShipped {
		rules.Template = prompts.Text(v.Language, prompts.NobodyAnswers)
	}
	if err := spoken.Check(ctx, v, rules.Template); err != nil {
		return rules, fmt.Errorf("--notice-template: %w", err)
	}
	return rules, nil
}

// sounds is what was played on calls: notices, and all that the library has.
type sounds struct {
	*speech.Library

	notices *notice.Shelf
}

// Clip implements recording.Clips.
func (s sounds) Clip(ctx context.Context, key string) (*audio.Clip, error) {
	if clip, ours, err := s.notices.Clip(ctx, key); ours {
		return clip, err
	}
	return s.Library.Clip(ctx, key)
}
