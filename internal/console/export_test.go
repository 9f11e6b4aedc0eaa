package console

import "github.com/perezvon/perezvon/internal/call"

// Texts lets tests look at all texts: English and Russian by key.
func Texts() map[string][2]string {
	all := make(map[string][2]string, len(texts))
	for key, t := range texts {
		all[key] = [2]string{t.en, t.ru}
	}
	return all
}

// Describe is what the timeline says of an event, in Russian or English.
func Describe(e call.Event, inRussian bool) string {
	if inRussian {
		return describe(e, russian)
	}
	return describe(e, english)
}
