package config

import (
	"cmp"

	"secretsync/reconcile"
)

// What reads parts of a configuration, for those who need not all of it.

// LoadTenants reads of a configuration file only what definitions are judged by:
// the tenants, and how many definitions each may have, 0 for the store's default.
// Certificates and keys that the file names need not be there.
func LoadTenants(path string) (tenants []Tenant, definitions int, err error) {
	d, err := readConfigFile(path)
	if err != nil {
		return nil, 0, err
	}
	d.parseClusters()
	tenants = d.parseTenants()
	if err := d.err(); err != nil {
		return nil, 0, err
	}
	for i := range tenants {
		tenants[i].MinRefresh = cmp.Or(tenants[i].MinRefresh, d.MinRefresh, reconcile.DefaultMinRefreshInterval)
	}
	return tenants, d.Limits.Definitions, nil
}

// LoadKeys reads of a configuration file only what it takes to move keys: dataDir, hashKeyFile, home and keys. Other
// files that it names need not be there, so that whoever moves keys needs none of the server's other secrets.
func LoadKeys(path string) (*Config, error) {
	d, err := readConfigFile(path)
	if err != nil {
		return nil, err
	}
	c := &Config{DataDir: d.file(d.DataDir), HashKeyFile: d.file(d.HashKeyFile)}
	d.checkDataDir(c)
	c.Home = d.parseHome()
	c.Keys = d.parseKeyPlace(c.Home)
	if err := d.err(); err != nil {
		return nil, err
	}
	return c, nil
}
