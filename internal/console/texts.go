package console

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// lang is a language of the pages.
type lang string

const (
	english lang = "en"
	russian lang = "ru"
)

var langs = []lang{english, russian}

const langCookie = "perezvon_lang"

// langOf chooses the language: what was asked for, what was chosen before,
// what the browser prefers.
func langOf(r *http.Request) lang {
	if l, ok := known(r.URL.Query().Get("lang")); ok {
		return l
	}
	if c, err := r.Cookie(langCookie); err == nil {
		if l, ok := known(c.Value); ok {
			return l
		}
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(part, ";")
		tag, _, _ = strings.Cut(strings.TrimSpace(tag), "-")
		if l, ok := known(strings.ToLower(tag)); ok {
			return l
		}
	}
	return english
}

func known(s string) (lang, bool) {
	for _, l := range langs {
		if string(l) == s {
			return l, true
		}
	}
	return "", false
}

func (l lang) other() lang {
	if l == russian {
		return english
	}
	return russian
}

// text is a text in the language; a key without one is shown as it is.
func (l lang) text(key string) string {
	t, ok := texts[key]
	switch {
	case !ok:
		return key[strings.LastIndexByte(key, '.')+1:]
	case l == russian:
		return t.ru
	}
	return t.en
}

func (l lang) status(s call.Status) string { return l.text("status." + s.Slug) }

// reason says the scenario's own reasons in the language; what comes from the
// network stays as it came.
func (l lang) reason(text string) string {
	if t, ok := russianReasons[text]; ok && l == russian {
		return t
	}
	return text
}

func (l lang) role(r call.Role) string   { return l.text("role." + string(r)) }
func (l lang) prompt(name string) string { return l.text("prompt." + name) }

// seconds writes 1.5 s, with the language's own comma.
func (l lang) seconds(d time.Duration) string {
	s := strconv.FormatFloat(d.Round(10*time.Millisecond).Seconds(), 'f', -1, 64)
	if l == russian {
		return strings.Replace(s, ".", ",", 1) + " с"
	}
	return s + " s"
}

type translation struct{ en, ru string }

// texts are those of all pages.
var texts = func() map[string]translation {
	all := maps.Clone(callTexts)
	maps.Copy(all, settingTexts)
	maps.Copy(all, liveTexts)
	return all
}()

// callTexts are those of calls and deliveries.
var callTexts = map[string]translation{
	"calls":       {"Calls", "Звонки"},
	"call":        {"Call", "Звонок"},
	"nocalls":     {"No calls yet. They appear here as soon as they are ordered.", "Звонков пока нет. Они появятся здесь, как только их закажут."},
	"older":       {"Older", "Раньше"},
	"newest":      {"Newest", "К последним"},
	"language":    {"Русский", "English"},
	"signout":     {"Sign out", "Выйти"},
	"signin":      {"Sign in", "Войти"},
	"key":         {"API key", "Ключ API"},
	"keyhint":     {"Printed at the server's first start, or set as PEREZVON_ADMIN_KEY.", "Напечатан при первом запуске сервера или задан в PEREZVON_ADMIN_KEY."},
	"started":     {"Started", "Начало"},
	"direction":   {"Direction", "Направление"},
	"client":      {"Client", "Клиент"},
	"responsible": {"Operator", "Оператор"},
	"status":      {"Status", "Итог"},
	"duration":    {"Duration", "Длительность"},
	"talk":        {"Talk", "Разговор"},
	"recording":   {"Recording", "Запись"},
	"stages":      {"Who talked", "Кто говорил"},
	"playstage":   {"Listen to this part", "Слушать эту часть"},
	"transcript":  {"Transcript", "Расшифровка"},
	"timeline":    {"Timeline", "Ход звонка"},

	"deliveries":   {"Deliveries", "Доставки"},
	"webhooks":     {"Webhooks", "Вебхуки"},
	"webhook":      {"Webhook", "Вебхук"},
	"events":       {"Events", "События"},
	"nowebhooks":   {"No webhooks yet.", "Вебхуков пока нет."},
	"nodeliveries": {"Nothing is here.", "Здесь пусто."},
	"state":        {"State", "Состояние"},
	"failingsince": {"since", "с"},
	"test":         {"Test", "Проверить"},
	"enable":       {"Enable", "Включить"},
	"disable":      {"Disable", "Выключить"},
	"when":         {"When", "Когда"},
	"what":         {"What", "Что"},
	"whom":         {"To whom", "Кому"},
	"tries":        {"Tries", "Попыток"},
	"nexttry":      {"next try", "следующая попытка"},
	"retry":        {"Retry", "Повторить"},
	"retryhint":    {"Try this delivery again now, under the same id", "Отправить эту доставку ещё раз сейчас, с тем же id"},
	"replay":       {"Send anew", "Отправить заново"},
	"replayhint":   {"The same in a new delivery, under a new id", "То же самое новой доставкой, с новым id"},

	"webhook.on":         {"working", "работает"},
	"webhook.off":        {"off", "выключен"},
	"webhook.failing":    {"failing", "не отвечает"},
	"webhook.disabled":   {"switched off by the server", "отключён сервером"},
	"delivery.waiting":   {"waiting", "ждёт"},
	"delivery.delivered": {"delivered", "доставлено"},
	"delivery.dead":      {"given up", "не доставлено"},
	"view.":              {"All", "Все"},
	"view.waiting":       {"Waiting", "Ждут"},
	"view.dead":          {"Given up", "Не доставлены"},
	"view.delivered":     {"Delivered", "Доставлены"},

	"outcome.talking":     {"talking", "говорят"},
	"outcome.done":        {"to the end", "до конца"},
	"outcome.transferred": {"passed on", "перевод"},
	"legs":                {"Phones", "Телефоны"},
	"left":                {"client", "клиент"},
	"right":               {"manager and prompts", "менеджер и подсказки"},
	"download":            {"Download", "Скачать"},
	"json":                {"Log as JSON", "Журнал в JSON"},
	"attempt":             {"Attempt", "Попытка"},
	"legend.dial":         {"dialling", "набор"},
	"legend.ring":         {"ringing", "звонит"},
	"legend.answer":       {"on the line", "на линии"},
	"legend.join":         {"talking", "разговор"},
	"seek":                {"Listen from here", "Слушать отсюда"},
	"waveform":            {"Loudness of the recording; click to listen from there", "Громкость записи; нажмите, чтобы слушать оттуда"},

	"error.forbidden": {"This key may not see that.", "Этому ключу сюда нельзя."},
	"error.notfound":  {"There is no such call.", "Такого звонка нет."},
	"error.toomany":   {"Too many wrong keys from your address. Wait a little.", "Слишком много неверных ключей с вашего адреса. Подождите немного."},
	"error.server":    {"The server failed. Its log says why.", "Ошибка сервера. Причина в его журнале."},
	"error.key":       {"There is no such key.", "Такого ключа нет."},
	"error.link":      {"The link has expired or is not whole. Ask for a new one, or sign in.", "Ссылка устарела или неполна. Попросите новую или войдите."},

	"direction.inbound":  {"inbound", "входящий"},
	"direction.outbound": {"outbound", "исходящий"},
	"direction.callback": {"callback", "перезвон"},
	"direction.internal": {"internal", "внутренний"},

	"recording.none":      {"none", "нет"},
	"recording.recording": {"recording", "идёт"},
	"recording.rendering": {"being made", "готовится"},
	"recording.ready":     {"ready", "готова"},
	"recording.failed":    {"failed", "не получилась"},

	"transcript.waiting": {"being made", "готовится"},
	"transcript.ready":   {"ready", "готова"},
	"transcript.failed":  {"failed", "не получилась"},
	"speaker.client":     {"Client", "Клиент"},
	"speaker.operator":   {"Manager", "Менеджер"},

	"status.":                       {"in progress", "идёт"},
	"status.completed":              {"completed", "состоялся"},
	"status.client_unknown":         {"client's number does not exist", "номера клиента нет"},
	"status.client_no_answer":       {"client did not answer", "клиент не ответил"},
	"status.client_unavailable":     {"client unavailable", "клиент недоступен"},
	"status.client_busy":            {"client busy", "клиент занят"},
	"status.client_trunk_failure":   {"no trunk reached the client", "нет связи с клиентом"},
	"status.client_declined":        {"client declined", "клиент отклонил"},
	"status.manager_no_answer":      {"manager did not answer", "менеджер не ответил"},
	"status.manager_busy":           {"manager busy", "менеджер занят"},
	"status.manager_declined":       {"manager declined", "менеджер отклонил"},
	"status.manager_trunk_failure":  {"no trunk reached the manager", "нет связи с менеджером"},
	"status.manager_hung_up":        {"manager hung up early", "менеджер положил трубку"},
	"status.repeat_limit":           {"no key was pressed", "клавиша не нажата"},
	"status.cancelled_by_manager":   {"cancelled by the manager", "отменён менеджером"},
	"status.rescheduled_by_manager": {"put off by the manager", "отложен менеджером"},
	"status.cancelled":              {"cancelled", "отменён"},
	"status.not_allowed":            {"not allowed", "запрещён"},
	"status.interrupted":            {"interrupted", "прерван"},
	"status.expired":                {"started too late", "не успел начаться"},
	"status.no_answer":              {"nobody picked up", "никто не ответил"},
	"status.busy":                   {"colleague busy", "сотрудник занят"},
	"status.declined":               {"colleague declined", "сотрудник отклонил"},
	"status.unavailable":            {"colleague unavailable", "сотрудник недоступен"},
	"status.abandoned":              {"caller hung up", "звонящий не дождался"},
	"status.no_route":               {"number leads nowhere", "номер никуда не ведёт"},
	"status.trunk_failure":          {"no trunk", "нет связи с транком"},
	"status.callback_requested":     {"callback requested", "просит перезвонить"},
	"status.announced":              {"heard the announcement", "прослушал объявление"},

	"role.":          {"", ""},
	"role.manager":   {"manager", "менеджер"},
	"role.client":    {"client", "клиент"},
	"role.operator":  {"operator", "оператор"},
	"role.colleague": {"colleague", "коллега"},

	"prompt.greeting":         {"the greeting", "приветствие"},
	"prompt.connecting":       {"“calling the client”", "«звонок клиенту»"},
	"prompt.ringback":         {"ringback", "гудки"},
	"prompt.ivr":              {"the text for the manager", "текст для менеджера"},
	"prompt.instructions":     {"the instructions", "подсказка по клавишам"},
	"prompt.extra_info":       {"more about the client", "сведения о клиенте"},
	"prompt.after_call":       {"the prompt after the call", "подсказка после разговора"},
	"prompt.announcement":     {"the announcement", "объявление"},
	"prompt.menu":             {"the menu", "меню"},
	"prompt.wrong_key":        {"“wrong key”", "«неверная клавиша»"},
	"prompt.callback_offer":   {"the offer to call back", "предложение перезвонить"},
	"prompt.will_call":        {"“we will call you back”", "«мы перезвоним»"},
	"prompt.refusal":          {"why the call is refused", "почему звонок не состоялся"},
	"prompt.queue_position":   {"the place in the queue", "место в очереди"},
	"prompt.transfer":         {"“dial the number”", "«наберите номер»"},
	"prompt.back-to-call":     {"“the transfer has failed”", "«перевод не состоялся»"},
	"prompt.not-available":    {"“not available”", "«недоступен»"},
	"prompt.number-busy":      {"“busy”", "«занято»"},
	"prompt.number-unknown":   {"“not a valid number”", "«номер набран неправильно»"},
	"prompt.number-forbidden": {"“not allowed”", "«набирать не разрешено»"},

	"action.":               {"", ""},
	"action.cancel":         {"cancel the call", "отмена звонка"},
	"action.connect":        {"call the client", "звонок клиенту"},
	"action.extra_info":     {"more about the client", "подробнее о клиенте"},
	"action.reschedule":     {"put the call off", "отложить звонок"},
	"action.cancel_recalls": {"no more attempts", "больше не перезванивать"},
	"action.attended":       {"transfer after a word with the colleague", "перевод с консультацией"},
	"action.blind":          {"transfer at once", "перевод сразу"},
	"action.back":           {"back to the client", "назад к клиенту"},
	"action.three_way":      {"all three together", "разговор втроём"},
	"action.menu":           {"choice in the menu", "выбор в меню"},
	"action.callback_offer": {"call me back", "перезвоните мне"},

	"event.created.callback":    {"Call to %s ordered", "Заказан звонок на %s"},
	"event.created.inbound":     {"Call from %s", "Звонок от %s"},
	"event.created.outbound":    {"Call to %s", "Звонок на %s"},
	"event.created.internal":    {"Call of %s to a colleague", "Звонок коллеге от %s"},
	"event.arrived":             {"%s calls %s", "%s звонит на %s"},
	"event.skipped":             {"Operator %s is not rung", "Оператору %s не звоним"},
	"event.pickedup":            {"The caller's line is open", "Линия звонящего открыта"},
	"event.hold":                {"Put on hold; the other hears music", "Удержание; собеседник слышит музыку"},
	"event.resumed":             {"Taken off hold", "Снято с удержания"},
	"event.transfer.started":    {"%s transfers to %s", "%s переводит на %s"},
	"event.transfer.done":       {"%s has the call now", "Звонок теперь у %s"},
	"event.transfer.failed":     {"The transfer to %s has failed", "Перевод на %s не состоялся"},
	"event.transfer.returned":   {"The call returns to %s", "Звонок возвращается к %s"},
	"event.merged":              {"One call with the consultation of %s", "Один звонок с консультацией: %s"},
	"event.continued":           {"The server was restarted and goes on with the call; it was away for %s", "Сервер перезапущен и продолжает звонок; его не было %s"},
	"event.queue.joined":        {"Waits in queue %s as number %s", "Ждёт в очереди %s, место %s"},
	"event.queue.left":          {"Leaves queue %s: %s", "Покидает очередь %s: %s"},
	"queue.answered":            {"answered", "ответили"},
	"queue.abandoned":           {"the caller hung up", "звонящий не дождался"},
	"queue.timeout":             {"waited too long", "ждал слишком долго"},
	"queue.full":                {"the queue is full", "очередь полна"},
	"queue.empty":               {"nobody serves it now", "сейчас некому ответить"},
	"queue.callback":            {"wants to be called back", "просит перезвонить"},
	"queue.ended":               {"the call was ended", "звонок завершён"},
	"event.notice.played":       {"The notice of %s is heard", "Звучит сообщение оператора %s"},
	"event.notice.recorded":     {"%s has recorded a notice", "%s записал сообщение"},
	"event.notice.deleted":      {"%s has deleted the notice", "%s удалил сообщение"},
	"event.node":                {"Media node: %s", "Медиа-сервер: %s"},
	"event.callerid":            {"The %s is shown %s", "Номер для стороны «%s»: %s"},
	"event.dialing":             {"Calling the %s: %s", "Звоним, %s: %s"},
	"event.progress":            {"The call is on its way", "Вызов идёт"},
	"event.earlymedia":          {"The carrier sends sound before the answer", "Оператор связи передаёт звук до ответа"},
	"event.ringing":             {"Ringing", "Телефон звонит"},
	"event.answered":            {"Answered by the %s: %s", "Ответил %s: %s"},
	"event.failed":              {"The %s could not be reached", "Не дозвонились: %s"},
	"event.cancelled":           {"We stopped ringing", "Вызов снят"},
	"event.ended.":              {"Hung up", "Отбой"},
	"event.ended.far":           {"Hung up on the phone", "Отбой на телефоне"},
	"event.ended.us":            {"Hung up by the server", "Отбой сервером"},
	"event.ended.network":       {"The line broke", "Связь оборвалась"},
	"event.prompt":              {"Playing %s", "Звучит %s"},
	"event.promptended":         {"End of %s", "Конец: %s"},
	"event.digit":               {"Key %s received", "Получена клавиша %s"},
	"event.digitssent":          {"Keys %s sent", "Отправлены клавиши %s"},
	"event.key":                 {"Key %s: %s", "Клавиша %s: %s"},
	"event.wait":                {"Waiting %s", "Ждём %s"},
	"event.recording":           {"Recording starts", "Запись пошла"},
	"event.recording.rendering": {"The recording is being made", "Запись готовится"},
	"event.recording.ready":     {"The recording is ready", "Запись готова"},
	"event.recording.failed":    {"The recording failed", "Запись не получилась"},
	"event.recording.none":      {"Nothing was recorded", "Записи нет"},
	"event.transcript.ready":    {"The transcript is ready", "Расшифровка готова"},
	"event.transcript.failed":   {"The transcript failed", "Расшифровка не получилась"},
	"event.joined":              {"Joined: %s and %s hear each other", "Соединены: %s и %s слышат друг друга"},
	"event.parted":              {"Parted", "Разъединены"},
	"event.over":                {"The call is over", "Звонок окончен"},

	"detail.trunk":    {"trunk", "транк"},
	"detail.callerid": {"shown", "показан"},
	"detail.sip":      {"SIP", "SIP"},
	"detail.reason":   {"", ""},
	"detail.codec":    {"", ""},
	"detail.method":   {"by", "через"},
	"detail.after":    {"after", "через"},
	"detail.timeout":  {"for up to", "не дольше"},
	"detail.length":   {"length", "длина"},
}

// russianReasons are the words of packages scenario and bitrix24, which are
// English.
var russianReasons = map[string]string{
	"finished":                                      "до конца",
	"interrupted":                                   "прервано",
	"before the client is called":                   "перед звонком клиенту",
	"before the extension":                          "перед добавочным",
	"for a key":                                     "нажатия клавиши",
	"for a key after the call":                      "клавиши после разговора",
	"no trunk is set":                               "транк не задан",
	"the trunk's own":                               "номер самого транка",
	"cancelled through the API":                     "отменён через API",
	"the server is being stopped":                   "сервер останавливается",
	"another answered first":                        "ответил другой",
	"another answered in the same instant":          "ответил другой в тот же миг",
	"both talked":                                   "разговор состоялся",
	"the manager pressed the cancel key":            "менеджер нажал клавишу отмены",
	"the manager pressed the connect key":           "менеджер нажал клавишу соединения",
	"the manager pressed the reschedule key":        "менеджер нажал клавишу переноса",
	"the client hung up before the two were joined": "клиент положил трубку до соединения",
	"the packet's number toward the client":         "номер из заявки",
	"the packet's default toward the client":        "номер из заявки по умолчанию",
	"the packet's default toward the manager":       "номер из заявки по умолчанию",
	"the client's number: an operator's own phone needs no carrier's consent":                                  "номер клиента: телефон оператора свой",
	"the repeat limit is reached and no key was pressed":                                                       "повторы кончились, клавиша не нажата",
	"without the right user, operators are known by bitrix_user_id alone":                                      "без права user операторы узнаются только по bitrix_user_id",
	"without the right crm, calls have no list of their stages":                                                "без права crm у звонков нет списка этапов",
	"without application_token, no events of the portal are taken: nobody can call by clicking a number there": "без application_token события портала не принимаются: щелчком по номеру там не позвонить",
	"no key was pressed after the call":                                                                        "после разговора клавиша не нажата",
}
