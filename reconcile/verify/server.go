package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Server asks a running server how one tenant's definitions stand. It is a
// [Status].
type Server struct {
	URL    string
	Tenant string
	Key    string // a readonly one suffices
}

const maxList = 1 << 30

// Claims implements [Status].
func (s *Server) Claims(ctx context.Context) ([]Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(s.URL, "/")+"/api/v1/tenants/"+s.Tenant+"/secrets", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.Key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxList))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		var answer struct{ Error string }
		if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
			return nil, fmt.Errorf("the server answers %s", response.Status)
		}
		return nil, errors.New(answer.Error)
	}
	return ParseClaims(body)
}

// ParseClaims reads the API's list of definitions.
func ParseClaims(list []byte) ([]Claim, error) {
	type target struct{ Cluster, Namespace, SecretName string }
	var answer struct {
		Items *[]struct {
			Name, SecretPath string
			Sync             []target
			Status           struct {
				Phase        string
				Conditions   []struct{ Type, Reason string }
				SyncStatuses []struct {
					target
					State, Reason string
					LastSyncTime  *time.Time
					VaultVersion  *int
					Commit        *string
				}
			}
		}
	}
	if err := json.Unmarshal(list, &answer); err != nil {
		return nil, fmt.Errorf("the server's answer is no list of definitions: %w", err)
	}
	if answer.Items == nil {
		return nil, errors.New("the server's answer is no list of definitions: it has no items")
	}
	claims := make([]Claim, 0, len(*answer.Items))
	for _, item := range *answer.Items {
		placeOf := func(t target) Place {
			if t.SecretName == "" {
				t.SecretName = item.Name
			}
			return Place{t.Cluster, t.Namespace, t.SecretName}
		}
		c := Claim{Definition: item.Name, Path: item.SecretPath, Phase: item.Status.Phase}
		for _, t := range item.Sync {
			c.Sync = append(c.Sync, placeOf(t))
		}
		for _, condition := range item.Status.Conditions {
			if condition.Type == "Ready" {
				c.Reason = condition.Reason
			}
		}
		for _, s := range item.Status.SyncStatuses {
			c.Targets = append(c.Targets, TargetClaim{
				Place: placeOf(s.target), State: s.State, Reason: s.Reason,
				LastSync: orZero(s.LastSyncTime), VaultVersion: orZero(s.VaultVersion), Commit: orZero(s.Commit),
			})
		}
		claims = append(claims, c)
	}
	return claims, nil
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
