// Package sqlite3 stands in for the SQLite driver that Gitea is written for, by `replace` in ../go.mod: that one needs a C
// compiler, and this stack is to be built where there is nothing but Go. It is modernc.org/sqlite, which is SQLite
// translated to Go, under the other's name and with the other's parameters.
package sqlite3

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"strings"

	"modernc.org/sqlite"
)

func init() { sql.Register("sqlite3", translator{new(sqlite.Driver)}) }

type translator struct{ driver.Driver }

func (t translator) Open(name string) (driver.Conn, error) {
	translated, err := translate(name)
	if err != nil {
		return nil, err
	}
	return t.Driver.Open(translated)
}

// translate turns file:PATH?cache=shared&mode=rwc&_busy_timeout=500&_txlock=immediate&_journal_mode=WAL into what the other
// driver reads. The cache is not shared: its locks are those of whole tables, and they don't wait.
func translate(name string) (string, error) {
	path, query, _ := strings.Cut(name, "?")
	given, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("sqlite3: parameters of the data source name: %w", err)
	}
	parameters := url.Values{}
	for key, values := range given {
		switch key {
		case "cache":
		case "_busy_timeout", "_journal_mode":
			parameters.Add("_pragma", fmt.Sprintf("%s(%s)", strings.TrimPrefix(key, "_"), values[0]))
		default:
			parameters[key] = values
		}
	}
	return path + "?" + parameters.Encode(), nil
}
