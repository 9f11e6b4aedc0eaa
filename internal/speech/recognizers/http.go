package recognizers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"
)

// client reaches every service. Contexts bound its requests. It follows no
// redirect: the key is for the address that was set.
var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     transport(),
}

func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = requestTime
	t.MaxIdleConnsPerHost = 8
	return t
}

// requestTime bounds a request with a long piece of a recording.
const requestTime = 10 * time.Minute

// post sends a request and reads its JSON answer into to. A refusal is an error
// that says what the service says, in at most 300 characters.
func post(ctx context.Context, url, contentType, authorization string, body io.Reader, to any, complaint func(body []byte) string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(answer) > maxAnswer:
		return fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	case res.StatusCode != http.StatusOK:
		if words := complaint(answer); words != "" {
			return fmt.Errorf("%s: %s", res.Status, short(words))
		}
		return fmt.Errorf("the answer is %s", res.Status)
	}
	if err := json.Unmarshal(answer, to); err != nil {
		return fmt.Errorf("an answer of another form: %w", err)
	}
	return nil
}

func short(s string) string {
	const most = 300
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
