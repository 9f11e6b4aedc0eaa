package console

// Texts lets tests look at all texts: English and Russian by key.
func Texts() map[string][2]string {
	all := make(map[string][2]string, len(texts))
	for key, t := range texts {
		all[key] = [2]string{t.en, t.ru}
	}
	return all
}
