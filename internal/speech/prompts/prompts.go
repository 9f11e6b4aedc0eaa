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
	"strconv"
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

	// Calls that come in.
	PleaseWait      ID = "please-wait"       // in a queue
	YouAreNumber    ID = "you-are-number"    // … and a number, 1 to 20
	YouAreFarBack   ID = "you-are-far-back"  // in a queue, after the twentieth
	WaitUnderMinute ID = "wait-under-minute" // the expected wait
	WaitAbout       ID = "wait-about"        // … and a number of minutes, 1 to 20
	PressForCall    ID = "press-for-call"    // … and a key: callback instead of waiting
	WeWillCall      ID = "we-will-call"      // it was pressed
	NobodyAnswers   ID = "nobody-answers"    // the template notice of an operator
	NotAvailable    ID = "not-available"     // of a number that was dialled
	NumberBusy      ID = "number-busy"       // of a number that was dialled
	NumberUnknown   ID = "number-unknown"    // of a number that was dialled
	NumberForbidden ID = "number-forbidden"  // the operator may not call it
	WrongKey        ID = "wrong-key"         // a key that means nothing
	Transfer        ID = "transfer"          // dial the colleague now
	BackToCall      ID = "back-to-call"      // the transfer came to nothing
	// The service code of operators' notices.
	NoticeMenu    ID = "notice-menu"    // 1 record, 2 delete, 3 listen
	NoticeRecord  ID = "notice-record"  // speak after the tone
	NoticeThanks  ID = "notice-thanks"  // it is recorded and on
	NoticeDeleted ID = "notice-deleted" // it is gone and off
	NoticeNone    ID = "notice-none"    // there is none to listen to
)

// Number is the prompt of a number from 0 to 20; empty for another.
func Number(n int) ID {
	if n < 0 || n > 20 {
		return ""
	}
	return ID(strconv.Itoa(n))
}

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
		{ID: PleaseWait, Text: "Пожалуйста, ожидайте ответа оператора"},
		{ID: YouAreNumber, Text: "Вы в очереди. Ваш номер", Spoken: "Вы в очереди. Ваш номер,"},
		{ID: YouAreFarBack, Text: "Вы в очереди. Перед вами больше двадцати человек"},
		{ID: WaitUnderMinute, Text: "Ожидание займёт меньше минуты"},
		{ID: WaitAbout, Text: "Примерное время ожидания в минутах", Spoken: "Примерное время ожидания в минутах,"},
		{ID: PressForCall, Text: "Чтобы мы перезвонили вам, нажмите", Spoken: "Чтобы мы перезвонили вам, нажмите,"},
		{ID: WeWillCall, Text: "Спасибо. Мы перезвоним вам, ваша очередь сохранена"},
		{ID: NobodyAnswers, Text: "Сотрудник сейчас не может ответить. Пожалуйста, перезвоните позже"},
		{ID: NotAvailable, Text: "Абонент недоступен"},
		{ID: NumberBusy, Text: "Номер занят"},
		{ID: NumberUnknown, Text: "Номер набран неправильно"},
		{ID: NumberForbidden, Text: "Этот номер вам набирать не разрешено"},
		{ID: WrongKey, Text: "Неверная клавиша"},
		{ID: Transfer, Text: "Перевод. Наберите номер"},
		{ID: BackToCall, Text: "Перевод не состоялся"},
		{ID: NoticeMenu, Text: "Чтобы записать сообщение, нажмите один. Чтобы удалить, нажмите два. Чтобы прослушать, нажмите три"},
		{ID: NoticeRecord, Text: "Говорите после сигнала. Чтобы закончить, нажмите любую клавишу"},
		{ID: NoticeThanks, Text: "Спасибо"},
		{ID: NoticeDeleted, Text: "Сообщение удалено"},
		{ID: NoticeNone, Text: "Сообщения нет"},
		{ID: "10", Text: "10", Spoken: "десять"},
		{ID: "11", Text: "11", Spoken: "одиннадцать"},
		{ID: "12", Text: "12", Spoken: "двенадцать"},
		{ID: "13", Text: "13", Spoken: "тринадцать"},
		{ID: "14", Text: "14", Spoken: "четырнадцать"},
		{ID: "15", Text: "15", Spoken: "пятнадцать"},
		{ID: "16", Text: "16", Spoken: "шестнадцать"},
		{ID: "17", Text: "17", Spoken: "семнадцать"},
		{ID: "18", Text: "18", Spoken: "восемнадцать"},
		{ID: "19", Text: "19", Spoken: "девятнадцать"},
		{ID: "20", Text: "20", Spoken: "двадцать"},
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
		{ID: PleaseWait, Text: "Please wait for the next operator"},
		{ID: YouAreNumber, Text: "You are in the queue. Your number is", Spoken: "You are in the queue. Your number is,"},
		{ID: YouAreFarBack, Text: "You are in the queue. There are more than twenty people before you"},
		{ID: WaitUnderMinute, Text: "The wait will be less than a minute"},
		{ID: WaitAbout, Text: "The expected wait in minutes is", Spoken: "The expected wait in minutes is,"},
		{ID: PressForCall, Text: "To be called back by us, press", Spoken: "To be called back by us, press,"},
		{ID: WeWillCall, Text: "Thank you. We will call you back, your place is kept"},
		{ID: NobodyAnswers, Text: "Nobody can answer now. Please call again later"},
		{ID: NotAvailable, Text: "The person is not available"},
		{ID: NumberBusy, Text: "The number is busy"},
		{ID: NumberUnknown, Text: "This is not a valid number"},
		{ID: NumberForbidden, Text: "You are not allowed to call this number"},
		{ID: WrongKey, Text: "This key has no meaning"},
		{ID: Transfer, Text: "Transfer. Dial the number"},
		{ID: BackToCall, Text: "The transfer has failed"},
		{ID: NoticeMenu, Text: "To record a message, press one. To delete it, press two. To listen to it, press three"},
		{ID: NoticeRecord, Text: "Speak after the tone. Press any key to end"},
		{ID: NoticeThanks, Text: "Thank you"},
		{ID: NoticeDeleted, Text: "The message is deleted"},
		{ID: NoticeNone, Text: "There is no message"},
		{ID: "10", Text: "10", Spoken: "ten"},
		{ID: "11", Text: "11", Spoken: "eleven"},
		{ID: "12", Text: "12", Spoken: "twelve"},
		{ID: "13", Text: "13", Spoken: "thirteen"},
		{ID: "14", Text: "14", Spoken: "fourteen"},
		{ID: "15", Text: "15", Spoken: "fifteen"},
		{ID: "16", Text: "16", Spoken: "sixteen"},
		{ID: "17", Text: "17", Spoken: "seventeen"},
		{ID: "18", Text: "18", Spoken: "eighteen"},
		{ID: "19", Text: "19", Spoken: "nineteen"},
		{ID: "20", Text: "20", Spoken: "twenty"},
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
