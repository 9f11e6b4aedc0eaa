package checkup

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Language is one in which findings are told.
type Language string

// The languages.
const (
	English Language = "en"
	Russian Language = "ru"
)

// Told is a finding in words.
type Told struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	About string `json:"about,omitempty"`
	Text  string `json:"text"`
	// Remedy is what to do; empty where nothing is to be done.
	Remedy string `json:"remedy,omitempty"`
}

// Tell puts a finding into words.
func (f Finding) Tell(l Language) Told {
	w := words[f.Check]
	text, remedy := w.en, w.enDo
	if l == Russian {
		text, remedy = w.ru, w.ruDo
	}
	var pairs []string
	for i, a := range f.args {
		value := fmt.Sprint(a)
		if p, ok := a.(purpose); ok {
			value = p.in(l)
		}
		pairs = append(pairs, "{"+strconv.Itoa(i+1)+"}", value)
	}
	fill := strings.NewReplacer(pairs...)
	return Told{Check: f.Check, Level: f.Level, About: f.About, Text: fill.Replace(text), Remedy: fill.Replace(remedy)}
}

// JSON is the report for programs. Check, level and about do not depend on the
// language.
func (r *Report) JSON(l Language) ([]byte, error) {
	type sound struct {
		Sent        int     `json:"sent"`
		Returned    int     `json:"returned"`
		RoundTripMS float64 `json:"round_trip_ms"`
		WorstMS     float64 `json:"worst_ms"`
	}
	out := struct {
		URL      string  `json:"url"`
		Version  string  `json:"version,omitempty"`
		OK       bool    `json:"ok"`
		Faults   int     `json:"faults"`
		Warnings int     `json:"warnings"`
		ClockMS  float64 `json:"clock_ahead_ms"`
		Sound    *sound  `json:"sound,omitempty"`
		Findings []Told  `json:"findings"`
	}{URL: r.URL, Version: r.Version, OK: r.Faults() == 0, Faults: r.Faults(), Warnings: r.Warnings(), ClockMS: ms(r.Clock), Findings: []Told{}}
	if s := r.Sound; s != nil {
		out.Sound = &sound{s.Sent, s.Returned, ms(s.RoundTrip), ms(s.Worst)}
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, f.Tell(l))
	}
	return json.MarshalIndent(out, "", "  ")
}

// Text is the report for people: a line a finding, and below it what to do.
func (r *Report) Text(l Language) string {
	var b strings.Builder
	for _, f := range r.Findings {
		t := f.Tell(l)
		fmt.Fprintf(&b, "%s %s\n", pad(levels[t.Level].in(l)), t.Text)
		if t.Remedy != "" {
			fmt.Fprintf(&b, "%s → %s\n", pad(""), t.Remedy)
		}
	}
	summary := summaries[English]
	if l == Russian {
		summary = summaries[Russian]
	}
	fmt.Fprintf(&b, summary, r.Faults(), r.Warnings())
	return b.String()
}

// width is that of the longest word for a level.
const width = 8

func pad(s string) string { return s + strings.Repeat(" ", max(0, width-len([]rune(s)))) }

var summaries = map[Language]string{English: "faults: %d, warnings: %d\n", Russian: "неисправностей: %d, замечаний: %d\n"}

// purpose is a word or two in both languages.
type purpose struct{ en, ru string }

func (p purpose) in(l Language) string {
	if l == Russian {
		return p.ru
	}
	return p.en
}

var levels = map[Level]purpose{
	OK: {"ok", "хорошо"}, Note: {"note", "заметка"}, Warning: {"warning", "внимание"}, Fault: {"FAULT", "ОШИБКА"},
}

// why is what a module is needed for.
func why(key string) purpose { return purposes[key] }

var purposes = map[string]purpose{
	"stasis":    {"nothing works", "не работает ничего"},
	"handover":  {"the dialplan cannot hand calls over", "диалплан не может передать звонок"},
	"ari":       {"the REST interface is not whole", "интерфейс ARI неполон"},
	"states":    {"nobody knows which phones are busy", "неизвестно, чьи телефоны заняты"},
	"answer":    {"calls cannot be answered", "нельзя ответить на звонок"},
	"recording": {"talks are not recorded", "разговоры не записываются"},
	"media":     {"no sound reaches Perezvon, nor comes from it", "звук не доходит до Перезвона и не идёт от него"},
	"bridge":    {"callers do not hear each other", "собеседники не слышат друг друга"},
	"phones":    {"no phone and no trunk can be called", "нельзя звонить на телефоны и через транки"},
	"transfer":  {"the transfer key of phones does nothing", "кнопка перевода на телефоне не работает"},
	"vouched":   {"the number that a carrier vouches for is not known", "неизвестен номер, за который ручается оператор связи"},
	"channel":   {"the codec and the limits of a call are not known", "неизвестны кодек и ограничения звонка"},
	"callerid":  {"the caller's number cannot be set", "нельзя задать номер звонящего"},
}

// word is a finding in both languages, and what to do about it. {1}, {2}… are
// its arguments.
type word struct{ en, enDo, ru, ruDo string }

var words = map[string]word{
	"ari.ok": {
		en: "{1} answers to user {2}", ru: "{1} отвечает пользователю {2}",
	},
	"ari.unreachable": {
		en: "nothing answers at {1}: {2}",
		enDo: "Is Asterisk running? http.conf: enabled = yes, bindaddr = an address that this machine reaches (127.0.0.1 serves Asterisk's own machine only), bindport = the port of --ari-url; " +
			"then asterisk -rx 'module reload http'. Between two machines a firewall must let this port through.",
		ru: "по адресу {1} никто не отвечает: {2}",
		ruDo: "Запущен ли Asterisk? http.conf: enabled = yes, bindaddr = адрес, доступный с этой машины (127.0.0.1 доступен только на самой машине Asterisk), bindport = порт из --ari-url; " +
			"затем asterisk -rx 'module reload http'. Если машины разные, этот порт должен пропускать сетевой экран.",
	},
	"ari.absent": {
		en:   "a web server answers at {1}, and there is no ARI there: {2}",
		enDo: "ari.conf: [general] enabled = yes; modules res_http_websocket, res_ari and res_ari_asterisk are loaded; --ari-url ends in /ari, after the prefix of http.conf if there is one",
		ru:   "по адресу {1} отвечает веб-сервер, но ARI там нет: {2}",
		ruDo: "ari.conf: [general] enabled = yes; загружены модули res_http_websocket, res_ari и res_ari_asterisk; --ari-url оканчивается на /ari, перед ним prefix из http.conf, если он задан",
	},
	"ari.password": {
		en:   "user {1} or the password is refused",
		enDo: "ari.conf: a section [{1}] with type = user and the password that is given here as PEREZVON_ARI_PASSWORD, password_format = plain; then asterisk -rx 'module reload res_ari'. 'perezvon asterisk config ari.conf' prints it.",
		ru:   "пользователь {1} или пароль не приняты",
		ruDo: "ari.conf: раздел [{1}], в нём type = user, password тот же, что здесь в PEREZVON_ARI_PASSWORD, password_format = plain; затем asterisk -rx 'module reload res_ari'. Раздел печатает 'perezvon asterisk config ari.conf'.",
	},
	"ari.read_only": {
		en:   "user {1} may read only",
		enDo: "ari.conf, section [{1}]: read_only = no; then asterisk -rx 'module reload res_ari'",
		ru:   "пользователю {1} разрешено только чтение",
		ruDo: "ari.conf, раздел [{1}]: read_only = no; затем asterisk -rx 'module reload res_ari'",
	},
	"version.ok": {en: "Asterisk {1}", ru: "Asterisk {1}"},
	"version.unknown": {
		en: "the version is not one that is known: {1}", ru: "неизвестная версия: {1}",
	},
	"version.old": {
		en: "Asterisk {1} is too old", enDo: "Install Asterisk 20 or 22, the newest of either.",
		ru: "Asterisk {1} слишком стар", ruDo: "Установите Asterisk 20 или 22, самый новый из них.",
	},
	"version.transfer": {
		en: "Asterisk {1} transfers by itself when a phone's own transfer key is pressed: the call leaves Perezvon", enDo: "Asterisk 20.13, 22.3 or newer; until then operators transfer with *2 and ##",
		ru: "Asterisk {1} при нажатии кнопки перевода на телефоне переводит звонок сам, мимо Перезвона", ruDo: "Asterisk 20.13, 22.3 или новее; до тех пор операторы переводят через *2 и ##",
	},
	"version.progress": {
		en: "Asterisk {1} cannot let callers hear anything before the answer", enDo: "Asterisk 20.16, 22.6 or newer, if announcements are to cost the caller nothing",
		ru: "Asterisk {1} не умеет дать звонящему что-нибудь услышать до ответа", ruDo: "Asterisk 20.16, 22.6 или новее, если объявления должны быть бесплатными для звонящего",
	},
	"version.status": {
		en: "Asterisk {1} does not tell the SIP status of a call that failed: causes are coarser", enDo: "Asterisk 20.17, 22.7 or newer",
		ru: "Asterisk {1} не сообщает код SIP неудачного звонка: причины известны приблизительно", ruDo: "Asterisk 20.17, 22.7 или новее",
	},
	"modules.ok": {en: "modules: all {1} are loaded", ru: "модули: загружены все {1}"},
	"modules.unknown": {
		en: "the modules cannot be listed: {1}", enDo: "Load res_ari_asterisk.so to have them examined.",
		ru: "список модулей недоступен: {1}", ruDo: "Чтобы они проверялись, загрузите res_ari_asterisk.so.",
	},
	"module.missing": {
		en: "module {1} is not loaded: {2}", enDo: "modules.conf: load = {1}.so, and no noload of it; then asterisk -rx 'module load {1}.so'. If there is no such file, install the package that has it.",
		ru: "модуль {1} не загружен: {2}", ruDo: "modules.conf: load = {1}.so, и нигде нет его noload; затем asterisk -rx 'module load {1}.so'. Если такого файла нет, установите пакет, в котором он есть.",
	},
	"module.stopped": {
		en: "module {1} is loaded and does not work ({2}): {3}", enDo: "Its configuration is wrong, or a module that it needs is missing; Asterisk's log tells why: asterisk -rx 'module reload {1}.so', then look at the last lines of /var/log/asterisk/messages.",
		ru: "модуль {1} загружен, но не работает ({2}): {3}", ruDo: "Ошибка в его настройке, или нет модуля, который ему нужен; причину скажет журнал Asterisk: asterisk -rx 'module reload {1}.so', затем последние строки /var/log/asterisk/messages.",
	},
	"timing.ok": {en: "timing: {1}", ru: "источник времени: {1}"},
	"timing.none": {
		en: "no timing module is loaded: recordings and talks of three stand still", enDo: "modules.conf: load = res_timing_pthread.so",
		ru: "не загружен ни один источник времени: записи и разговоры втроём стоят", ruDo: "modules.conf: load = res_timing_pthread.so",
	},
	"timing.forgets": {
		en:   "timing: {1}, which leaves out ticks that it is late for: on a busy machine recordings lose half a second now and then",
		enDo: "modules.conf: noload = {1}.so, load = res_timing_pthread.so; then start Asterisk anew.",
		ru:   "источник времени: {1}, он пропускает такты, к которым опоздал: на занятой машине записи иногда теряют по полсекунды",
		ruDo: "modules.conf: noload = {1}.so, load = res_timing_pthread.so; затем перезапустите Asterisk.",
	},
	"app.served": {en: "a server is connected as {1}, or has left calls there", ru: "сервер подключён как {1} или оставил там звонки"},
	"app.away":   {en: "no server is connected as {1} at the moment", ru: "сейчас ни один сервер не подключён как {1}"},
	"events.ok":  {en: "events come", ru: "события приходят"},
	"events.closed": {
		en: "the WebSocket of events cannot be opened: {1}", enDo: "Modules res_http_websocket and res_ari_events must be loaded; a proxy before Asterisk must pass WebSockets.",
		ru: "WebSocket событий не открывается: {1}", ruDo: "Должны быть загружены модули res_http_websocket и res_ari_events; прокси перед Asterisk должен пропускать WebSocket.",
	},
	"events.silent": {
		en: "the WebSocket of events is open, and events do not come: {1}", enDo: "A proxy before Asterisk must not buffer; websocket_write_timeout in ari.conf must not be too short for the network.",
		ru: "WebSocket событий открыт, но события не приходят: {1}", ruDo: "Прокси перед Asterisk не должен буферизовать; websocket_write_timeout в ari.conf не должен быть мал для этой сети.",
	},
	"clock.ok": {en: "the clocks agree", ru: "часы сходятся"},
	"clock.differs": {
		en: "Asterisk's clock is ahead of ours by {1}", enDo: "Both machines need NTP (timedatectl set-ntp true), or nobody can compare their logs.",
		ru: "часы Asterisk расходятся с нашими на {1}", ruDo: "Обеим машинам нужен NTP (timedatectl set-ntp true), иначе их журналы не сопоставить.",
	},
	"media.port": {
		en: "no UDP port is free in {1}-{2}: {3}", enDo: "Give --rtp-ports another range.",
		ru: "в диапазоне {1}-{2} нет свободного порта UDP: {3}", ruDo: "Задайте другой диапазон в --rtp-ports.",
	},
	"media.refused": {
		en: "Asterisk makes no channel of external media: {1}", enDo: "Modules chan_rtp, res_rtp_asterisk, res_rtp_multicast and codec_alaw must be loaded; rtp.conf: rtpstart to rtpend must have free ports.",
		ru: "Asterisk не создаёт канал внешнего звука (external media): {1}", ruDo: "Должны быть загружены модули chan_rtp, res_rtp_asterisk, res_rtp_multicast и codec_alaw; в rtp.conf между rtpstart и rtpend должны быть свободные порты.",
	},
	"media.from": {
		en: "Asterisk's sound does not reach {1}: {2} packets came", enDo: "Is this the address of this machine as Asterisk sees it? If not, set --sip-advertise. A firewall must let UDP to --rtp-ports through.",
		ru: "звук Asterisk не доходит до {1}: пришло пакетов: {2}", ruDo: "Так ли видит Asterisk адрес этой машины? Если нет, задайте --sip-advertise. Сетевой экран должен пропускать UDP на --rtp-ports.",
	},
	"media.to": {
		en: "our sound does not reach Asterisk at {1}", enDo: "A firewall must let UDP to rtpstart-rtpend of rtp.conf through. In a container these ports must be published, or its network be the host's.",
		ru: "наш звук не доходит до Asterisk по адресу {1}", ruDo: "Сетевой экран должен пропускать UDP на порты rtpstart-rtpend из rtp.conf. В контейнере они должны быть опубликованы, или сеть должна быть от хоста.",
	},
	"media.ok": {
		en: "sound goes both ways, here at {5}: {1} there and back, at worst {2}, {3} of {4} packets", ru: "звук проходит в обе стороны, здесь {5}: {1} туда и обратно, самое большее {2}, пакетов {3} из {4}",
	},
	"media.lost": {
		en: "of {2} packets of sound {1} did not come back", enDo: "The network between the two loses packets: people hear gaps, and so do recordings.",
		ru: "из {2} пакетов звука не вернулось {1}", ruDo: "Сеть между машинами теряет пакеты: провалы будут и в разговорах, и в записях.",
	},
	"media.slow": {
		en: "sound takes {1} to Asterisk and back", enDo: "Run Perezvon nearer to Asterisk: prompts and keys come late.",
		ru: "звук идёт до Asterisk и обратно {1}", ruDo: "Запускайте Перезвон ближе к Asterisk: подсказки и нажатия запаздывают.",
	},
	"bridge.refused": {
		en: "two channels cannot be joined: {1}", enDo: "Modules bridge_simple, bridge_softmix and res_ari_bridges must be loaded.",
		ru: "два канала не соединяются: {1}", ruDo: "Должны быть загружены модули bridge_simple, bridge_softmix и res_ari_bridges.",
	},
	"directory.unread": {
		en: "trunks and operators are not examined: {1}", enDo: "Give the --data (or --database) of the server, and run as its user.",
		ru: "транки и операторы не проверены: {1}", ruDo: "Укажите --data (или --database) сервера и запускайте от его пользователя.",
	},
	"directory.empty": {
		en: "no trunks and no operators are set yet: their endpoints are not examined", enDo: "PUT /api/v1/trunks/…, /api/v1/operators/…: README, First minutes",
		ru: "транки и операторы ещё не заданы: их endpoint не проверялись", ruDo: "PUT /api/v1/trunks/…, /api/v1/operators/…: README, «Первые минуты»",
	},
	"trunks.ok": {en: "trunks: {1} of {2} are in order", ru: "транки: в порядке {1} из {2}"},
	"trunk.missing": {
		en: "trunk {1}: there is no PJSIP endpoint {2}", enDo: "pjsip.conf: an endpoint [{2}]; 'perezvon asterisk config pjsip.conf' prints one. Or name the right one: PUT /api/v1/trunks/{1} with \"endpoint\".",
		ru: "транк {1}: нет endpoint {2} в PJSIP", ruDo: "pjsip.conf: endpoint [{2}]; пример печатает 'perezvon asterisk config pjsip.conf'. Или укажите верный: PUT /api/v1/trunks/{1}, поле \"endpoint\".",
	},
	"trunk.offline": {
		en: "trunk {1}: the carrier cannot be reached through {2}", enDo: "asterisk -rx 'pjsip show endpoint {2}': its aor needs a contact, which answers OPTIONS if qualify_frequency is set",
		ru: "транк {1}: оператор связи недоступен через {2}", ruDo: "asterisk -rx 'pjsip show endpoint {2}': у его aor должен быть contact, отвечающий на OPTIONS, если задан qualify_frequency",
	},
	"trunk.trusts": {
		en: "{1}: trust_id_inbound = yes replaces the caller's number by the one that the carrier vouches for", enDo: "pjsip.conf [{1}]: trust_id_inbound = no. Perezvon reads both by itself.",
		ru: "{1}: trust_id_inbound = yes подменяет номер звонящего тем, за который ручается оператор связи", ruDo: "pjsip.conf [{1}]: trust_id_inbound = no. Перезвон сам читает оба номера.",
	},
	"trunk.transfers": {
		en: "{1}: somebody outside may transfer calls (allow_transfer = yes)", enDo: "pjsip.conf [{1}]: allow_transfer = no",
		ru: "{1}: переводить звонки может кто-то снаружи (allow_transfer = yes)", ruDo: "pjsip.conf [{1}]: allow_transfer = no",
	},
	"operators.ok": {en: "operators: phones of {1} of {2} are registered", ru: "операторы: телефоны подключены у {1} из {2}"},
	"operator.missing": {
		en: "operators without a PJSIP endpoint of their extension: {1}", enDo: "pjsip.conf: an endpoint and an aor named as the extension; 'perezvon asterisk config pjsip.conf' prints them",
		ru: "операторы, для номера которых нет endpoint в PJSIP: {1}", ruDo: "pjsip.conf: endpoint и aor с именем, равным номеру оператора; их печатает 'perezvon asterisk config pjsip.conf'",
	},
	"operator.offline": {
		en: "operators without a registered phone: {1}", enDo: "asterisk -rx 'pjsip show contacts': the phone registers at Asterisk as the extension",
		ru: "операторы без подключённого телефона: {1}", ruDo: "asterisk -rx 'pjsip show contacts': телефон регистрируется в Asterisk под номером оператора",
	},
	"operator.transfers": {
		en: "operators whose phones may not transfer by their own key: {1}", enDo: "pjsip.conf: allow_transfer = yes in their endpoints",
		ru: "операторы, чьи телефоны не могут переводить своей кнопкой: {1}", ruDo: "pjsip.conf: allow_transfer = yes в их endpoint",
	},
	"endpoint.unknown": {
		en: "the settings of endpoints cannot be asked", enDo: "Load func_pjsip_endpoint.so to have codecs, keys and contexts examined.",
		ru: "настройки endpoint узнать нельзя", ruDo: "Чтобы проверялись кодеки, нажатия и контексты, загрузите func_pjsip_endpoint.so.",
	},
	"endpoint.keys": {
		en: "{1}: dtmf_mode = {2}: keys of many phones are not heard", enDo: "pjsip.conf [{1}]: dtmf_mode = auto",
		ru: "{1}: dtmf_mode = {2}: нажатия многих телефонов не слышны", ruDo: "pjsip.conf [{1}]: dtmf_mode = auto",
	},
	"endpoint.direct": {
		en: "{1}: direct_media = yes: Asterisk asks phones to send their sound past it, and back again, at each join", enDo: "pjsip.conf [{1}]: direct_media = no",
		ru: "{1}: direct_media = yes: при каждом соединении Asterisk просит телефоны слать звук мимо него и обратно", ruDo: "pjsip.conf [{1}]: direct_media = no",
	},
	"endpoint.aors": {
		en: "{1}: there is no aors, so nobody can be called through it", enDo: "pjsip.conf [{1}]: aors = {1}, and a section [{1}] of type = aor",
		ru: "{1}: не задан aors, позвонить через него нельзя", ruDo: "pjsip.conf [{1}]: aors = {1}, и раздел [{1}] с type = aor",
	},
	"endpoint.codecs": {
		en: "{1}: Asterisk can turn none of its codecs into A-law: {2}", enDo: "pjsip.conf [{1}]: allow = alaw,ulaw",
		ru: "{1}: ни один его кодек Asterisk не переводит в A-law: {2}", ruDo: "pjsip.conf [{1}]: allow = alaw,ulaw",
	},
	"endpoint.codec": {
		en: "{1}: Asterisk cannot turn {2} into A-law: calls that agree on it have no sound", enDo: "modules.conf: load = {3}.so; or take it out of allow in [{1}]",
		ru: "{1}: Asterisk не переводит {2} в A-law: звонки, выбравшие этот кодек, останутся без звука", ruDo: "modules.conf: load = {3}.so; или уберите его из allow в [{1}]",
	},
	"dialplan.ok": {
		en: "context {1} hands {2} over to {3}", ru: "контекст {1} передаёт {2} в {3}",
	},
	"dialplan.other": {
		en: "context {1} hands {2} over to {3}, and the server is {4}", enDo: "extensions.conf: Stasis({4}); or start the server with --ari-app {3}",
		ru: "контекст {1} передаёт {2} в {3}, а сервер называется {4}", ruDo: "extensions.conf: Stasis({4}); или запускайте сервер с --ari-app {3}",
	},
	"dialplan.absent": {
		en: "context {1} does not know {2}", enDo: "extensions.conf, [{1}]: exten => {2},1,Stasis({3}), or a pattern of it; 'perezvon asterisk config extensions.conf' prints one. If other numbers are called there: --extension.",
		ru: "контекст {1} не знает номера {2}", ruDo: "extensions.conf, [{1}]: exten => {2},1,Stasis({3}) или подходящий шаблон; его печатает 'perezvon asterisk config extensions.conf'. Если туда звонят на другие номера: --extension.",
	},
	"dialplan.elsewhere": {
		en: "context {1} does not hand {2} over: it came to {3}", enDo: "extensions.conf, [{1}]: Stasis({4}) for the calls that Perezvon is to take. If other numbers are called there: --extension.",
		ru: "контекст {1} не передаёт {2}: звонок дошёл до {3}", ruDo: "extensions.conf, [{1}]: Stasis({4}) для звонков, которые должен принимать Перезвон. Если туда звонят на другие номера: --extension.",
	},
	"dialplan.unknown": {
		en: "context {1} is not examined: {2}", ru: "контекст {1} не проверен: {2}",
	},
	"dialplan.unasked": {
		en: "whether the dialplan hands calls over is not examined: no context is known", enDo: "--context from-carrier names one.",
		ru: "передаёт ли диалплан звонки, не проверено: неизвестен контекст", ruDo: "Назовите его: --context from-carrier.",
	},
	"left.behind": {
		en: "something of ours may be left in Asterisk ({1}…): {2}", enDo: "asterisk -rx 'core show channels' tells; 'channel request hangup' ends it",
		ru: "в Asterisk могло остаться что-то наше ({1}…): {2}", ruDo: "asterisk -rx 'core show channels' покажет; 'channel request hangup' завершит",
	},
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
