package callback

import "strings"

// Texts that the server speaks of its own. They exist in Russian and English;
// any other language hears the English ones unless its packet brings texts.
const (
	greetingRU   = "Звонок с сайта. Пожалуйста, ожидайте соединения"
	greetingEN   = "A call from the website. Please wait to be connected"
	connectingRU = "Звонок клиенту"
	connectingEN = "Calling the client"
)

// DefaultGreeting is what the manager hears first if the packet does not say.
func DefaultGreeting(language string) string {
	if IsRussian(language) {
		return greetingRU
	}
	return greetingEN
}

// DefaultConnectingText is what the manager hears before the client is called
// if the packet does not say.
func DefaultConnectingText(language string) string {
	if IsRussian(language) {
		return connectingRU
	}
	return connectingEN
}

// IsRussian tells that the server speaks its own texts in Russian to a packet
// of that language: "ru", "ru-RU", or none given.
func IsRussian(language string) bool {
	primary, _, _ := strings.Cut(strings.ToLower(language), "-")
	return primary == "" || primary == "ru"
}
