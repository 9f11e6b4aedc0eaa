package bitrix24

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// RequestTime is how long a request may take: the cloud breaks one off after
	// 60 s, so that what we give up is over there as well.
	RequestTime = 65 * time.Second
	// uploadTime is the same for a recording: an hour of it is 58 MB.
	uploadTime = 8 * time.Minute
	// maxAnswer bounds the answers that are read, bytes.
	maxAnswer = 4 << 20
	// maxText bounds what is kept of a portal's words.
	maxText = 200

	defaultOAuth = "https://oauth.bitrix.info"
)

// portal is the account's portal: how it is asked, what it can take, and who is
// who there.
type portal struct {
	service *Service
	account string
	limits  *limits
	users   users

	mu      sync.Mutex
	kept    kept
	unsaved bool // the settings are being tried; tokens are not kept yet

	renewing sync.Mutex // one renews the token, the others wait for it
}

func newPortal(s *Service, account string) *portal {
	return &portal{service: s, account: account, limits: newLimits()}
}

func (p *portal) use(k kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = k
}

func (p *portal) settings() kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept
}

func (p *portal) base() string { k := p.settings(); return k.base() }

// answer is what every method answers.
type answer struct {
	Result      json.RawMessage `json:"result"`
	Error       text            `json:"error"`
	Description string          `json:"error_description"`
	Time        struct {
		Operating float64 `json:"operating"`
		ResetAt   float64 `json:"operating_reset_at"`
	} `json:"time"`
}

// text is a string that may come as a number.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = string(b)
	}
	*t = text(s)
	return nil
}

// number is an integer that may come as a string, or as null.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "" || s == "null" || s == "false" {
		*n = 0
		return nil
	}
	i, err := strconv.ParseInt(s, 10, 64)
	*n = number(i)
	return err
}

// call asks for a method; result may be nil. An expired token is renewed. The
// error is an *Error, or ctx's.
func (p *portal) call(ctx context.Context, method string, params map[string]any, result any) error {
	return p.callBy(ctx, p.renew, method, params, result)
}

// callBy is call with the way to renew an expired token.
func (p *portal) callBy(ctx context.Context, renew func(ctx context.Context, old string) error, method string, params map[string]any, result any) error {
	for renewed := 0; ; renewed++ {
		k := p.settings()
		if k.byWebhook() || k.AccessToken != "" { // else the first is still to be had
			err := p.ask(ctx, k, method, params, result)
			var e *Error
			if !errors.As(err, &e) || e.Code != codeExpired || k.byWebhook() || renewed == 2 {
				return err
			}
		}
		if err := renew(ctx, k.AccessToken); err != nil {
			return err
		}
		p.limits.count()
	}
}

func (p *portal) ask(ctx context.Context, k kept, method string, params map[string]any, result any) error {
	body := make(map[string]any, len(params)+1)
	for name, value := range params {
		body[name] = value
	}
	if !k.byWebhook() {
		body["auth"] = k.AccessToken
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.base()+method+".json", bytes.NewReader(raw))
	if err != nil {
		return &Error{Method: method, Description: "not an address"}
	}
	req.Header.Set("Content-Type", "application/json")
	return p.send(req, p.service.config.Client, method, result)
}

func (p *portal) send(req *http.Request, client *http.Client, method string, result any) error {
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		if cause := context.Cause(req.Context()); cause != nil {
			return cause
		}
		return &Error{Method: method, Description: reasonOf(err)}
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		if cause := context.Cause(req.Context()); cause != nil {
			return cause
		}
		return &Error{Method: method, Description: "the answer broke off"}
	}
	var a answer
	parsed := json.Unmarshal(raw, &a)
	if parsed == nil {
		p.limits.operating(method, a.Time.Operating, a.Time.ResetAt)
	}
	switch {
	case a.Error != "" || a.Description != "":
		return &Error{method, res.StatusCode, clean(string(a.Error)), clean(a.Description)}
	case res.StatusCode < 200 || res.StatusCode > 299:
		return &Error{method, res.StatusCode, "", http.StatusText(res.StatusCode)}
	case parsed != nil || a.Result == nil:
		// A 200 with a page for people: a proxy's, or of a portal being mended.
		return &Error{method, http.StatusBadGateway, "", "the answer is not the REST API's"}
	case result == nil:
		return nil
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return &Error{method, http.StatusBadGateway, "", "the answer is not understood: " + clean(err.Error())}
	}
	return nil
}

// upload sends a file to where attachRecord wants it.
func (p *portal) upload(ctx context.Context, address, field, path, filename string) error {
	const method = "upload"
	u, err := url.Parse(address)
	k := p.settings()
	if home, ours := url.Parse(k.base()); err != nil || ours != nil || u.Host != home.Host || u.Scheme != home.Scheme {
		return &Error{Method: method, Description: "the portal wants the recording elsewhere than at its own address"}
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	if _, err := form.CreateFormFile(field, filename); err != nil {
		return err
	}
	tail := "\r\n--" + form.Boundary() + "--\r\n"
	size := int64(head.Len()) + info.Size() + int64(len(tail))
	ctx, cancel := context.WithTimeout(ctx, uploadTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, io.MultiReader(&head, io.LimitReader(file, info.Size()), strings.NewReader(tail)))
	if err != nil {
		return &Error{Method: method, Description: "not an address"}
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", form.FormDataContentType())
	client := *p.service.config.Client
	client.Timeout = 0 // ctx has it
	if err := p.send(req, &client, method, nil); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return &Error{Method: method, Description: "no answer in time"}
		}
		return err
	}
	return nil
}

// renew gets a new pair of tokens (OAuth 2.0) unless somebody has since old was
// the token. The new pair is on the disk before it is used: the old refresh
// token may be worth nothing.
func (p *portal) renew(ctx context.Context, old string) error {
	p.renewing.Lock()
	defer p.renewing.Unlock()
	k := p.settings()
	now, err := p.service.load(ctx, p.account)
	if err != nil && !errors.Is(err, ErrNotConnected) {
		return err
	}
	ours := err == nil && (!p.unsaved || now.RefreshToken == k.RefreshToken)
	if ours && !p.unsaved { // another process may have renewed it
		k = now
		p.use(k)
	}
	if k.AccessToken != old && k.AccessToken != "" {
		return nil
	}
	server := k.OAuthServer
	if server == "" {
		server = defaultOAuth
	}
	const method = "oauth/token"
	query := url.Values{"grant_type": {"refresh_token"}, "client_id": {k.ClientID}, "client_secret": {k.ClientSecret}, "refresh_token": {k.RefreshToken}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/oauth/token/?"+query.Encode(), nil)
	if err != nil {
		return &Error{Method: method, Description: "not an address"}
	}
	res, err := p.service.config.Client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return &Error{Method: method, Description: reasonOf(err)}
	}
	defer res.Body.Close()
	var a struct {
		Access      string `json:"access_token"`
		Refresh     string `json:"refresh_token"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&a); err != nil || a.Error != "" || a.Access == "" || a.Refresh == "" {
		status := res.StatusCode
		if status < 300 || status == http.StatusBadRequest { // not let in; an administrator can mend that
			status = http.StatusUnauthorized
		}
		return &Error{method, status, clean(a.Error), clean(a.Description)}
	}
	if ours {
		now.AccessToken, now.RefreshToken = a.Access, a.Refresh
		if err := p.service.save(ctx, p.account, now); err != nil {
			return err
		}
	}
	k.AccessToken, k.RefreshToken = a.Access, a.Refresh
	p.use(k)
	return nil
}

// reasonOf says why no answer came, without addresses: they hold secrets.
func reasonOf(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return "no answer in time"
		}
		err = u.Err
	}
	return clean(fmt.Sprintf("no answer: %v", err))
}

// clean makes one short line of a text that strangers wrote.
func clean(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText]) + "…"
	}
	return s
}
