package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"runtime/debug"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"golang.org/x/crypto/x509roots/fallback/bundle"
	"golang.org/x/mod/module"
)

const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// roots are the certificate authorities that the image trusts.
type roots struct {
	PEM    []byte
	Module component // that they come from
}

// trustedRoots returns Mozilla's root certificates, as the Go project publishes them. They are pinned by go.sum, so that they
// are the same on every machine; those of the machine would depend on its distribution and on the day. Left out are the few
// that Mozilla trusts only for certificates issued before some day: a PEM file can't say so.
func trustedRoots(from sources) (roots, error) {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return roots{}, fmt.Errorf("a root certificate: %w", err)
		}
		fmt.Fprintf(&b, "# %s\n", certificate.Subject)
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return roots{}, err
		}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return roots{}, errors.New("this program does not know its own modules")
	}
	for _, m := range info.Deps {
		if m.Path == rootsModule {
			c := component{Version: module.Version{Path: m.Path, Version: m.Version}, Sum: m.Sum}
			var err error
			c.Licence, err = from.licence(c.Version)
			return roots{PEM: b.Bytes(), Module: c}, err
		}
	}
	return roots{}, fmt.Errorf("this program does not know the version of %s", rootsModule)
}

// component describes them as what they are in an image: data, and no part of the program.
func (r roots) component() cdx.Component {
	c := library(r.Module)
	c.Type, c.Description = cdx.ComponentTypeData, "Mozilla's root certificates, /"+rootsAt
	return c
}
