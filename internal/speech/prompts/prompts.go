// Package prompts holds what the server says by itself, and the same already
// spoken, in Russian and English by a female and a male voice, so that a
// machine without any speech provider has a voice.
//
// The sounds are made from the table here by a program beside it; after a
// change of the table run
//
//	go generate ./internal/speech/prompts
package prompts

import (
	"embed"
	"strings"
)

//go:generate go run ./generate

// ID names a prompt in every language.
type ID string

// The prompts that end in a key are continued by one of the keys' own prompts:
// see Press.
const (
	Greeting            ID = "greeting"               // what the manager hears first
	Connecting          ID = "connecting"             // before the client is called
	PressToConnect      ID = "press-to-connect"       // … and a key
	PressForInfo        ID = "press-for-info"         // … and a key
	PressToCancel       ID = "press-to-cancel"        // … and a key
	PressToReschedule   ID = "press-to-reschedule"    // … and a key
	ClientLeft          ID = "client-left"            // before the keys that work after the conversation
	PressToCancelRecall ID = "press-to-cancel-recall" // … and a key
	PressToCallAgain    ID = "press-to-call-again"    // … and a key
)

// Prompt is one thing to say in one language.
type Prompt struct {
	ID   ID
	Text string
	// Spoken is the text as the recording's speaker got it, where that differs:
	// a comma keeps the voice up before a key that follows.
	Spoken string
}

// russian and english have the same IDs in the same order.
var (
	russian = []Prompt{
		{ID: Greeting, Text: "Звонок с сайта. Пожалуйста, ожидайте соединения"},
		{ID: Connecting, Text: "Звонок клиенту"},
		{ID: PressToConnect, Text: "Чтобы позвонить клиенту, нажмите", Spoken: "Чтобы позвонить клиенту, нажмите,"},
		{ID: PressForInfo, Text: "Чтобы узнать о клиенте, нажмите", Spoken: "Чтобы узнать о клиенте, нажмите,"},
		{ID: PressToCancel, Text: "Чтобы отменить звонок, нажмите", Spoken: "Чтобы отменить звонок, нажмите,"},
		{ID: PressToReschedule, Text: "Чтобы отложить звонок, нажмите", Spoken: "Чтобы отложить звонок, нажмите,"},
		{ID: ClientLeft, Text: "Клиент завершил разговор"},
		{ID: PressToCancelRecall, Text: "Чтобы больше не звонить клиенту, нажмите", Spoken: "Чтобы больше не звонить клиенту, нажмите,"},
		{ID: PressToCallAgain, Text: "Чтобы запланировать новый звонок, нажмите", Spoken: "Чтобы запланировать новый звонок, нажмите,"},
		{ID: "0", Text: "0", Spoken: "ноль"},
		{ID: "1", Text: "1", Spoken: "один"},
		{ID: "2", Text: "2", Spoken: "два"},
		{ID: "3", Text: "3", Spoken: "три"},
		{ID: "4", Text: "4", Spoken: "четыре"},
		{ID: "5", Text: "5", Spoken: "пять"},
		{ID: "6", Text: "6", Spoken: "шесть"},
		{ID: "7", Text: "7", Spoken: "семь"},
		{ID: "8", Text: "8", Spoken: "восемь"},
		{ID: "9", Text: "9", Spoken: "девять"},
		{ID: "*", Text: "звёздочку"},
		{ID: "#", Text: "решётку"},
	}
	english = []Prompt{
		{ID: Greeting, Text: "A call from the website. Please wait to be connected"},
		{ID: Connecting, Text: "Calling the client"},
		{ID: PressToConnect, Text: "To call the client, press", Spoken: "To call the client, press,"},
		{ID: PressForInfo, Text: "To hear about the client, press", Spoken: "To hear about the client, press,"},
		{ID: PressToCancel, Text: "To cancel the call, press", Spoken: "To cancel the call, press,"},
		{ID: PressToReschedule, Text: "To postpone the call, press", Spoken: "To postpone the call, press,"},
		{ID: ClientLeft, Text: "The client has hung up"},
		{ID: PressToCancelRecall, Text: "To stop calling this client, press", Spoken: "To stop calling this client, press,"},
		{ID: PressToCallAgain, Text: "To plan another call, press", Spoken: "To plan another call, press,"},
		{ID: "0", Text: "0", Spoken: "zero"},
		{ID: "1", Text: "1", Spoken: "one"},
		{ID: "2", Text: "2", Spoken: "two"},
		{ID: "3", Text: "3", Spoken: "three"},
		{ID: "4", Text: "4", Spoken: "four"},
		{ID: "5", Text: "5", Spoken: "five"},
		{ID: "6", Text: "6", Spoken: "six"},
		{ID: "7", Text: "7", Spoken: "seven"},
		{ID: "8", Text: "8", Spoken: "eight"},
		{ID: "9", Text: "9", Spoken: "nine"},
		{ID: "*", Text: "star"},
		{ID: "#", Text: "hash"},
	}
)

// The languages and voices that ship inside.
var (
	Languages = []string{"ru", "en"}
	Voices    = []string{"female", "male"}
)

// All is everything said in one of Languages, nil for another language.
func All(language string) []Prompt {
	switch language {
	case "ru":
		return russian
	case "en":
		return english
	}
	return nil
}

// Text is the words of a prompt for a language such as "ru", "en-GB" or "de":
// Russian for Russian and for the empty language, English for all others;
// empty if there is no such prompt.
func Text(language string, id ID) string {
	table := english
	primary, _, _ := strings.Cut(strings.ToLower(language), "-")
	if primary == "" || primary == "ru" {
		table = russian
	}
	for _, p := range table {
		if p.ID == id {
			return p.Text
		}
	}
	return ""
}

// Press is the sentence that tells what a key does: the words of one of the
// PressTo… prompts and of the key, one of 0123456789*#.
func Press(language string, id ID, key byte) string {
	return Text(language, id) + " " + Text(language, ID(key))
}

//go:embed wav
var sounds embed.FS

// Sound is the recording of a prompt, a WAV file (A-law, 16 kHz, mono); ok is
// false where none ships.
func Sound(language, voice string, id ID) (file []byte, ok bool) {
	file, err := sounds.ReadFile(FileName(language, voice, id))
	return file, err == nil
}

// FileName is where the recording of a prompt lies in this folder.
func FileName(language, voice string, id ID) string {
	name := string(id)
	switch id { // no file system likes them
	case "*":
		name = "star"
	case "#":
		name = "hash"
	}
	return "wav/" + language + "-" + voice + "/" + name + ".wav"
}
