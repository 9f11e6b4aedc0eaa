// Package lines is the text of the demo's conversation.
package lines

import "fmt"

// Dialogue is what the manager (even lines) and the client (odd lines) say, by
// language.
var Dialogue = map[string][]string{
	"ru": {
		"Здравствуйте! Вы оставили номер на нашем сайте. Чем могу помочь?",
		"Добрый день! Хочу узнать, сколько стоит доставка.",
		"По городу доставка бесплатная. Записать вас на завтра?",
		"Да, спасибо. До свидания!",
	},
	"en": {
		"Hello! You left your number on our site. How can I help you?",
		"Good afternoon! I would like to know how much delivery costs.",
		"Delivery in the city is free. Shall I book you in for tomorrow?",
		"Yes, thank you. Goodbye!",
	},
}

// File is where the sound of a line lies in the demo's folder.
func File(language string, i int) string { return fmt.Sprintf("voices/%s-%d.wav", language, i) }
