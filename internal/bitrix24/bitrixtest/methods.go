package bitrixtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// recordFile is the id of every attached record.
const recordFile = 9079

// refusal is an error that a method answers.
type refusal struct {
	status            int
	code, description string
}

// core is the error that telephony gives for everything.
func core(description string) *refusal { return &refusal{400, "ERROR_CORE", description} }

// params are a request's, as JSON has them.
type params map[string]any

func (p params) text(name string) string {
	switch v := p[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

func (p params) number(name string) int64 {
	n, _ := strconv.ParseInt(p.text(name), 10, 64)
	return n
}

// ids is a number or a list of numbers.
func (p params) ids(name string) (list []int64) {
	if all, ok := p[name].([]any); ok {
		for _, v := range all {
			list = append(list, params{"v": v}.number("v"))
		}
		return list
	}
	return []int64{p.number(name)}
}

// carryOut lets a method act and gives its answer. Of a batch, upto commands are
// carried out; 0: all.
func (p *Portal) carryOut(method string, r *http.Request, body []byte, upto int) (int, any) {
	began := time.Now()
	if method == "upload" {
		if refused := p.upload(r, body); refused != nil {
			return refused.status, failure(refused.code, refused.description)
		}
		return http.StatusOK, map[string]any{"result": map[string]any{"FILE_ID": recordFile}}
	}
	var in params
	if err := json.Unmarshal(body, &in); err != nil {
		return 400, failure("INVALID_REQUEST", "not JSON")
	}
	app := !strings.HasPrefix(r.URL.Path, WebhookPath)
	if app {
		switch {
		case in.text("auth") == "" || in.text("auth") != p.access:
			return 401, failure("NO_AUTH_FOUND", "Wrong authorization data")
		case !time.Now().Before(p.expires):
			return 401, failure("expired_token", "The access token provided has expired")
		}
	}
	if method == "batch" {
		return http.StatusOK, map[string]any{"result": p.batch(body, in, app, upto), "time": took(began)}
	}
	result, times, refused := p.one(method, in, app)
	if refused != nil {
		return refused.status, failure(refused.code, refused.description)
	}
	return http.StatusOK, map[string]any{"result": result, "time": times}
}

// one carries out one method, as a request or of a batch.
func (p *Portal) one(method string, in params, app bool) (result any, times map[string]any, refused *refusal) {
	began := time.Now()
	if p.operated(method) > operatingMost {
		return nil, nil, &refusal{429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit"}
	}
	result, refused = p.method(method, in, app)
	p.operating[method] = append(p.operating[method], spent{began, p.Seconds})
	times = took(began)
	times["operating_reset_at"], times["operating"] = p.operating[method][0].at.Add(10*time.Minute).Unix(), p.operated(method)
	return result, times, refused
}

func took(began time.Time) map[string]any {
	return map[string]any{
		"start": float64(began.UnixNano()) / 1e9, "finish": float64(time.Now().UnixNano()) / 1e9, "duration": 0.1, "processing": 0,
		"date_start": began.Format(time.RFC3339), "date_finish": time.Now().Format(time.RFC3339),
	}
}

// operated is how many seconds of the last ten minutes the method has taken.
func (p *Portal) operated(method string) (sum float64) {
	kept := p.operating[method][:0]
	for _, s := range p.operating[method] {
		if time.Since(s.at) < 10*time.Minute {
			kept = append(kept, s)
			sum += s.seconds
		}
	}
	p.operating[method] = kept
	return sum
}

func (p *Portal) method(method string, in params, app bool) (any, *refusal) {
	wrongAuth := &refusal{403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method"}
	switch method {
	case "profile":
		return map[string]any{"ID": fmt.Sprint(Owner), "ADMIN": true, "NAME": "Вадим"}, nil
	case "scope":
		return p.scopes, nil
	case "app.info":
		if !app {
			return nil, wrongAuth
		}
		return map[string]any{"ID": 5, "CODE": ClientID, "VERSION": 1, "STATUS": "L", "INSTALLED": true}, nil
	case "event.bind", "event.get":
		if !app {
			return nil, wrongAuth
		}
		return p.events(method, in)
	case "user.get":
		return p.userGet(in), nil
	case "voximplant.statistic.get":
		return p.statistic(in), nil
	case "crm.activity.update":
		return p.comment(in)
	case "telephony.externalCall.searchCrmEntities":
		return p.search(in)
	case "telephony.externalLine.add":
		if !app {
			return nil, wrongAuth
		}
		return p.line(in)
	case "telephony.externalCall.register", "telephony.externalCall.finish":
		if p.AppOnly && !app {
			return nil, wrongAuth
		}
		if method == "telephony.externalCall.finish" {
			return p.finish(in)
		}
		return p.register(in)
	case "telephony.externalCall.show", "telephony.externalCall.hide":
		return p.card(in, method == "telephony.externalCall.show"), nil
	case "telephony.externalCall.attachRecord":
		return p.attach(in)
	case "telephony.call.attachTranscription":
		return p.transcript(in)
	}
	return nil, &refusal{404, "ERROR_METHOD_NOT_FOUND", "Method not found!"}
}

func (p *Portal) events(method string, in params) (any, *refusal) {
	if method == "event.get" {
		list := []map[string]any{}
		for event, handler := range p.handlers {
			list = append(list, map[string]any{"event": event, "handler": handler, "auth_type": "0", "offline": 0})
		}
		return list, nil
	}
	event := strings.ToUpper(in.text("event"))
	switch event {
	case "ONEXTERNALCALLSTART", "ONEXTERNALCALLBACKSTART", "ONAPPUNINSTALL":
	default:
		return nil, &refusal{400, "ERROR_EVENT_NOT_FOUND", "Event not found"}
	}
	if _, there := p.handlers[event]; there {
		return nil, &refusal{400, "ERROR_EVENT_BINDING_EXISTS", "Handler already binded"}
	}
	p.handlers[event] = in.text("handler")
	return true, nil
}

func (p *Portal) userGet(in params) any {
	filter, _ := in["FILTER"].(map[string]any)
	list := []map[string]any{}
	for _, u := range p.users {
		f := params(filter)
		if f["UF_PHONE_INNER"] != nil && f.text("UF_PHONE_INNER") != u.Extension || f["ID"] != nil && f.number("ID") != u.ID || f["ACTIVE"] == true && u.Fired {
			continue
		}
		list = append(list, map[string]any{"ID": fmt.Sprint(u.ID), "UF_PHONE_INNER": u.Extension})
	}
	return list
}

func (p *Portal) user(in params) (int64, *refusal) {
	id := in.number("USER_ID")
	for _, u := range p.users {
		if !u.Fired && (id != 0 && u.ID == id || id == 0 && u.Extension != "" && u.Extension == in.text("USER_PHONE_INNER")) {
			return u.ID, nil
		}
	}
	if id == 0 && in.text("USER_PHONE_INNER") == "" {
		return 0, core("USER_ID or USER_PHONE_INNER should be set")
	}
	return 0, core("User is not found or is not active")
}

func (p *Portal) register(in params) (any, *refusal) {
	user, refused := p.user(in)
	if refused != nil {
		return nil, refused
	}
	kind := in.number("TYPE")
	if kind < 1 || kind > 5 {
		return nil, core("Unknown TYPE")
	}
	if !strings.ContainsAny(in.text("PHONE_NUMBER"), "0123456789") {
		return nil, core("Unsupported phone number format")
	}
	if start := in.text("CALL_START_DATE"); start != "" {
		if _, err := time.Parse(time.RFC3339, start); err != nil {
			return nil, core("CALL_START_DATE should be in the ISO-8601 format")
		}
	}
	var c *Call
	for _, known := range p.calls {
		if !known.Finished && time.Since(known.Registered) < sameCall && known.Client == in.text("PHONE_NUMBER") && known.Type == int(kind) &&
			known.User == user && known.Line == in.text("LINE_NUMBER") && known.External == in.text("EXTERNAL_CALL_ID") {
			c = known
		}
	}
	if c == nil {
		c = p.add(&Call{
			External: in.text("EXTERNAL_CALL_ID"), Client: in.text("PHONE_NUMBER"), Line: in.text("LINE_NUMBER"), Type: int(kind), User: user,
			Start: in.text("CALL_START_DATE"),
		})
	}
	if in["SHOW"] == nil || in.number("SHOW") == 1 {
		c.open(user)
	}
	return map[string]any{"CALL_ID": c.ID, "CRM_CREATED_LEAD": nil, "CRM_CREATED_ENTITIES": []any{}, "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": 797}, nil
}

func (p *Portal) call(id string, finished bool) *Call {
	for _, c := range p.calls {
		if c.ID == id && c.Finished == finished {
			return c
		}
	}
	return nil
}

func (p *Portal) card(in params, open bool) bool {
	c := p.call(in.text("CALL_ID"), false)
	if c == nil {
		return false
	}
	for _, user := range in.ids("USER_ID") {
		if open {
			c.open(user)
		} else {
			delete(c.Cards, user)
		}
	}
	return true
}

func (p *Portal) finish(in params) (any, *refusal) {
	if _, ok := in["CALL_ID"].(string); !ok {
		return nil, &refusal{400, "INVALID_ARGUMENT", "CALL_ID must be a string"}
	}
	c := p.call(in.text("CALL_ID"), false)
	if c == nil {
		return nil, core("Call is not found (call should be registered prior to finishing")
	}
	user, refused := p.user(in)
	if refused != nil {
		return nil, refused
	}
	p.serial++
	c.Finished, c.Responsible, c.DurationS, c.Reason, c.Activity = true, user, int(in.number("DURATION")), in.text("FAILED_REASON"), p.serial
	clear(c.Cards)
	if c.Status = in.text("STATUS_CODE"); c.Status == "" {
		c.Status = "304"
		if c.DurationS > 0 {
			c.Status = "200"
		}
	}
	status := 0
	if c.DurationS > 0 {
		status = 1
	}
	var activity any = c.Activity
	if p.NoActivities {
		c.Activity, activity = 0, nil
	}
	return map[string]any{
		"CALL_ID": c.ID, "EXTERNAL_CALL_ID": c.External, "PORTAL_USER_ID": user, "PHONE_NUMBER": c.Client, "PORTAL_NUMBER": c.Line, "INCOMING": fmt.Sprint(c.Type),
		"CALL_DURATION": c.DurationS, "CALL_START_DATE": map[string]any{}, "CALL_STATUS": status, "CALL_FAILED_CODE": c.Status, "CALL_FAILED_REASON": c.Reason,
		"CRM_ACTIVITY_ID": activity, "COMMENT": nil, "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": 797, "ID": p.serial,
	}, nil
}

func (p *Portal) statistic(in params) any {
	filter, _ := in["FILTER"].(map[string]any)
	f := params(filter)
	list := []map[string]any{}
	for _, c := range p.calls {
		if !c.Finished || f["CALL_ID"] != nil && f.text("CALL_ID") != c.ID || f["EXTERNAL_CALL_ID"] != nil && f.text("EXTERNAL_CALL_ID") != c.External {
			continue
		}
		item := map[string]any{
			"ID": fmt.Sprint(c.Activity), "PORTAL_USER_ID": fmt.Sprint(c.Responsible), "PHONE_NUMBER": c.Client, "CALL_ID": c.ID, "EXTERNAL_CALL_ID": c.External,
			"CALL_CATEGORY": "external", "CALL_DURATION": fmt.Sprint(c.DurationS), "CALL_FAILED_CODE": c.Status, "CRM_ACTIVITY_ID": fmt.Sprint(c.Activity),
			"TRANSCRIPT_ID": nil, "RECORD_FILE_ID": nil, "CALL_TYPE": fmt.Sprint(c.Type),
		}
		if len(c.Transcripts) > 0 {
			item["TRANSCRIPT_ID"] = "1"
		}
		if c.Record != nil {
			item["RECORD_FILE_ID"] = fmt.Sprint(recordFile)
		}
		list = append(list, item)
	}
	return list
}

// search finds the client as it is told: numbers are compared as they are
// written, but for what is no digit.
func (p *Portal) search(in params) (any, *refusal) {
	number := in.text("PHONE_NUMBER")
	if number == "" {
		return nil, core("PHONE_NUMBER is empty")
	}
	list := []map[string]any{}
	for _, object := range p.objects[digits(number)] {
		item := map[string]any{
			"CRM_ENTITY_TYPE": object.Type, "CRM_ENTITY_ID": object.ID, "ASSIGNED_BY_ID": object.Responsible, "NAME": "Иван Иванов", "ASSIGNED_BY": []any{},
		}
		for _, u := range p.users {
			if u.ID != object.Responsible {
				continue
			}
			employee := map[string]any{
				"ID": fmt.Sprint(u.ID), "TIMEMAN_STATUS": "OPENED", "USER_PHONE_INNER": nil, "WORK_PHONE": nil, "PERSONAL_PHONE": nil, "PERSONAL_MOBILE": nil,
			}
			if u.Extension != "" {
				employee["USER_PHONE_INNER"] = u.Extension
			}
			item["ASSIGNED_BY"] = employee
		}
		list = append(list, item)
	}
	return list, nil
}

func digits(number string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
}

func (p *Portal) comment(in params) (any, *refusal) {
	fields, _ := in["fields"].(map[string]any)
	for _, c := range p.calls {
		if c.Activity != 0 && c.Activity == in.number("id") {
			c.Comment = params(fields).text("DESCRIPTION")
			return true, nil
		}
	}
	return nil, &refusal{400, "", "Activity is not found."}
}

func (p *Portal) line(in params) (any, *refusal) {
	number := in.text("NUMBER")
	if number == "" {
		return nil, core("NUMBER should not be empty")
	}
	for _, l := range p.lines {
		if l == number {
			return nil, core("Line already exists")
		}
	}
	p.lines = append(p.lines, number)
	return map[string]any{"ID": len(p.lines)}, nil
}

func (p *Portal) attach(in params) (any, *refusal) {
	c := p.call(in.text("CALL_ID"), true)
	if c == nil {
		return nil, core("Call is not found in the statistic table. Looks like it is not finished yet.")
	}
	name := in.text("FILENAME")
	switch {
	case name == "":
		return nil, core("Required parameters are not set. Request should contain or URL or FILENAME parameter")
	case !strings.HasSuffix(name, ".wav") && !strings.HasSuffix(name, ".mp3"):
		return nil, core("Wrong file extension. Only wav and mp3 are allowed")
	case in["FILE_CONTENT"] == nil:
		return map[string]any{"uploadUrl": p.base + "/rest/upload.json?token=telephony%7C" + base64.RawURLEncoding.EncodeToString([]byte(c.ID)), "fieldName": "file"}, nil
	}
	content, err := base64.StdEncoding.DecodeString(in.text("FILE_CONTENT"))
	if err != nil {
		return nil, core("File content is not properly encoded. Base64 encoding is expected.")
	}
	c.Record, c.Records = content, c.Records+1
	return map[string]any{"FILE_ID": recordFile}, nil
}

func (p *Portal) upload(r *http.Request, body []byte) *refusal {
	id, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(r.URL.Query().Get("token"), "telephony|"))
	c := p.call(string(id), true)
	if err != nil || c == nil {
		return &refusal{403, "INVALID_CREDENTIALS", "Invalid request credentials"}
	}
	_, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return core("File content is empty.")
	}
	form := multipart.NewReader(bytes.NewReader(body), options["boundary"])
	for {
		part, err := form.NextPart()
		if err != nil {
			return core("File content is empty.")
		}
		if part.FormName() != "file" {
			continue
		}
		content, err := io.ReadAll(part)
		if err != nil || len(content) == 0 {
			return core("File content is empty.")
		}
		c.Record, c.Records = content, c.Records+1
		return nil
	}
}

func (p *Portal) transcript(in params) (any, *refusal) {
	c := p.call(in.text("CALL_ID"), true)
	if c == nil {
		return nil, core("Call " + in.text("CALL_ID") + " is not found. Is it finished?")
	}
	messages, ok := in["MESSAGES"].([]any)
	if !ok {
		return nil, core("MESSAGES should be an array")
	}
	for i, m := range messages {
		fields, _ := m.(map[string]any)
		f := params(fields)
		switch {
		case f.text("SIDE") != "User" && f.text("SIDE") != "Client":
			return nil, core(fmt.Sprintf("MESSAGES[%d][SIDE] should be either Client or User", i))
		case f.number("START_TIME") < 0:
			return nil, core(fmt.Sprintf("MESSAGES[%d][START_TIME] should be greater or equal to zero", i))
		case f.number("STOP_TIME") <= 0:
			return nil, core(fmt.Sprintf("MESSAGES[%d][STOP_TIME] should be greater than zero", i))
		case f.text("MESSAGE") == "":
			return nil, core(fmt.Sprintf("MESSAGES[%d][MESSAGE] is empty", i))
		}
	}
	c.Transcripts = append(c.Transcripts, messages)
	return map[string]any{"TRANSCRIPT_ID": 1}, nil
}
