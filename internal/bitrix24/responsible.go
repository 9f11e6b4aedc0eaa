package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/perezvon/perezvon/internal/numbering"
)

const methodSearch = "telephony.externalCall.searchCrmEntities"

// Responsible is the extension of the operator who is responsible for the client
// with that number in the CRM, and why; "" and why nobody is. Of several objects
// the portal's first counts, as it recommends.
//
// A caller waits for it: give ctx a deadline. It is one request, which goes
// before the deliveries that wait for their turns. If the portal must be left
// alone now, that is the error, at once. Errors: ErrNotConnected, an *Error,
// ErrBusy, or ctx's cause.
func (s *Service) Responsible(ctx context.Context, account, client string) (extension, why string, err error) {
	if key, _ := numbering.Key(client); key == "" {
		return "", "the client's number does not have ten digits to be found by in Bitrix24", nil
	}
	p, err := s.portal(ctx, account)
	if err != nil {
		return "", "", err
	}
	if !p.settings().installed() {
		return "", "", fmt.Errorf("%w: the application is not installed there yet", ErrNotConnected)
	}
	if why := p.limits.hurry(methodSearch); why != "" {
		return "", "", fmt.Errorf("%w: %s", ErrBusy, why)
	}
	var objects []struct {
		Type        string          `json:"CRM_ENTITY_TYPE"`
		ID          number          `json:"CRM_ENTITY_ID"`
		Responsible number          `json:"ASSIGNED_BY_ID"`
		Employee    json.RawMessage `json:"ASSIGNED_BY"`
	}
	err = p.callBy(ctx, p.renewAside, methodSearch, map[string]any{"PHONE_NUMBER": client}, &objects)
	p.limits.hurried(err)
	switch {
	case err != nil:
		return "", "", err
	case len(objects) == 0:
		return "", "Bitrix24 does not know the client", nil
	}
	first := objects[0]
	where := fmt.Sprintf("in Bitrix24 (%s %d)", clean(first.Type), first.ID)
	if first.Responsible <= 0 {
		return "", "nobody is responsible for the client " + where, nil
	}
	var employee struct {
		Extension text `json:"USER_PHONE_INNER"`
	}
	// It is an empty list when there is nothing to say; then the id alone counts.
	_ = json.Unmarshal(first.Employee, &employee)
	operators, err := s.config.Store.Operators(ctx, account)
	if err != nil {
		return "", "", err
	}
	user := int64(first.Responsible)
	if extension = operatorWho(operators, user, string(employee.Extension)); extension == "" {
		return "", fmt.Sprintf("user %d, who is responsible for the client %s, is no operator here", user, where), nil
	}
	return extension, fmt.Sprintf("%s is responsible for the client %s", extension, where), nil
}

// ErrBusy says that the portal is not asked now, to spare it or because it has
// just failed.
var ErrBusy = errors.New("Bitrix24 is not asked now")

// renewAside is renew for somebody with little time. When ctx ends he goes, and
// the renewal goes on (Close waits for it): broken off, it could have spent the
// only refresh token and lost the one that came for it.
func (p *portal) renewAside(ctx context.Context, old string) error {
	renewed := make(chan error, 1)
	p.service.renewals.Go(func() {
		ctx, cancel := context.WithTimeout(p.service.lasting, RequestTime)
		defer cancel()
		renewed <- p.renew(ctx, old)
	})
	select {
	case err := <-renewed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
