package remote

import (
	"net/http"
	"testing"
	"time"
)

func TestPausesThatAHostAsksFor(t *testing.T) {
	now := time.Unix(1700000000, 0)
	for name, c := range map[string]struct {
		status  int
		headers map[string]string
		want    time.Duration // 0: none
	}{
		"429":                             {429, nil, shortestPause},
		"429 with seconds":                {429, map[string]string{"Retry-After": "90"}, 90 * time.Second},
		"429 with a date":                 {429, map[string]string{"Retry-After": "Tue, 14 Nov 2023 22:14:20 GMT"}, time.Minute},
		"429 with a date gone by":         {429, map[string]string{"Retry-After": "Tue, 14 Nov 2023 22:00:00 GMT"}, time.Second},
		"429 with nonsense":               {429, map[string]string{"Retry-After": "-7"}, shortestPause},
		"429 with much":                   {429, map[string]string{"Retry-After": "99999999999999999999"}, shortestPause},
		"429 with a limit":                {429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000030"}, 30 * time.Second},
		"429 with GitLab's":               {429, map[string]string{"RateLimit-Remaining": "0", "RateLimit-Reset": "1700000040"}, 40 * time.Second},
		"403 with Retry-After":            {403, map[string]string{"Retry-After": "60"}, time.Minute},
		"403 with a limit used up":        {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "50"}, 50 * time.Second},
		"403 with a limit not used up":    {403, map[string]string{"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "50"}, 0},
		"403":                             {403, nil, 0},
		"503":                             {503, nil, 0},
		"503 with Retry-After":            {503, map[string]string{"Retry-After": "5"}, 5 * time.Second},
		"404 with a limit used up":        {404, map[string]string{"X-RateLimit-Remaining": "0"}, 0},
		"403, used up, till nobody knows": {403, map[string]string{"X-RateLimit-Remaining": "0"}, shortestPause},
	} {
		res := &http.Response{StatusCode: c.status, Header: make(http.Header)}
		for name, value := range c.headers {
			res.Header.Set(name, value)
		}
		got, ok := pauseOf(res, now)
		if got != c.want || ok != (c.want > 0) {
			t.Errorf("%s: %s, %t, want %s", name, got, ok, c.want)
		}
	}
}
