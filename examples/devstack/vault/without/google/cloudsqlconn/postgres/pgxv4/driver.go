// Package pgxv4 stands in for a driver of databases in Google's cloud, see package cloudsqlconn.
package pgxv4

import (
	"errors"

	"cloud.google.com/go/cloudsqlconn"
)

func RegisterDriver(string, ...cloudsqlconn.Option) (cleanup func() error, err error) {
	return nil, errors.New("databases in Google's cloud are left out of this Vault")
}
