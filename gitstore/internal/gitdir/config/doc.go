// Package config is the configuration of one repository: what of it concerns us,
// which formats are refused, as Git refuses them, and the one block that we write
// into it ourselves.
//
// go-git's decoder reads the file. Its config.Config is not used: of the settings
// that count here it has core.bare and extensions.objectFormat only, and it
// refuses no format.
package config
