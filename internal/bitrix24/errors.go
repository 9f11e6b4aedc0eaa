package bitrix24

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Error is a request that the portal has not carried out, or of which it is not
// known.
type Error struct {
	Method string
	// Status is the HTTP status, 0 if no answer came.
	Status int
	// Code and Description are the answer's error and error_description.
	Code, Description string
}

// Error tells it in words, without anything secret.
func (e *Error) Error() string {
	text := e.Method + ": "
	if e.Status != 0 {
		text += fmt.Sprintf("%d ", e.Status)
	}
	if e.Code != "" {
		text += e.Code + " "
	}
	return text + e.Description
}

// Codes of the portal's errors, in its spelling.
const (
	codeQueryLimit     = "QUERY_LIMIT_EXCEEDED"
	codeOperationLimit = "OPERATION_TIME_LIMIT"
	codeExpired        = "expired_token"
	codeCore           = "ERROR_CORE"
	codeWrongAuth      = "WRONG_AUTH_TYPE"
)

// Descriptions of ERROR_CORE, the code that telephony gives to everything.
const (
	textNotFound   = "Call is not found (call should be registered prior to finishing"
	textNoUser     = "User is not found or is not active"
	textLineExists = "Line already exists"
	textDenied     = "Access denied."
	textDatabase   = "Unexpected database error"
	textNoRecord   = "Call is not found in the statistic table" // attachRecord, of a call that is being finished
	textUnfinished = "Is it finished?"                          // the same of attachTranscription
)

// fate is what follows from an error.
type fate int

const (
	fateRefused fate = iota // this request will never be taken
	fateAgain               // this request failed, others need not
	fatePortal              // no request will be taken for now: down, or not let in
	fateSlower              // too many requests
	fateMethod              // too much of this method
)

// fate judges. Whatever an administrator can mend (a token, rights, a plan, a
// deleted webhook) is waited for.
func (e *Error) fate() fate {
	switch {
	case e.Code == codeQueryLimit:
		return fateSlower
	case e.Code == codeOperationLimit:
		return fateMethod
	case e.Status == http.StatusInternalServerError && e.Code != "PORTAL_DELETED":
		return fateAgain
	case e.Code == codeWrongAuth:
		return fatePortal
	case e.Status == http.StatusBadRequest, e.Status == http.StatusRequestEntityTooLarge, e.Status == http.StatusUnprocessableEntity:
		if e.Code == "INVALID_REQUEST" { // «Https required»
			return fatePortal
		}
		for _, passing := range []string{textDatabase, textNoRecord, textUnfinished} {
			if e.Code == codeCore && strings.Contains(e.Description, passing) {
				return fateAgain
			}
		}
		return fateRefused
	}
	return fatePortal
}

// is tells that the error is the portal's, with that description.
func is(err error, description string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == codeCore && strings.HasPrefix(e.Description, description)
}

// denied tells that the user or the connection lacks a right.
func denied(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusForbidden || e.Code == "insufficient_scope" || e.Code == codeWrongAuth ||
		e.Status == http.StatusBadRequest && e.Description == textDenied)
}
