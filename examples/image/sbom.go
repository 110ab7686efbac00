package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/package-url/packageurl-go"
)

// sbomType is the media type of a CycloneDX document.
const sbomType = "application/vnd.cyclonedx+json"

// sbom returns what a program is made of, as CycloneDX 1.6: each module that is linked into it, the standard library, and what
// lies beside it in an image. It does not say which module needs which, for the program doesn't.
func sbom(r release, p *program, beside ...cdx.Component) ([]byte, error) {
	self := cdx.Component{
		Type: cdx.ComponentTypeApplication, Name: "secretsync", Version: r.Version,
		PackageURL: packageurl.NewPackageURL(packageurl.TypeGolang, "", p.Main, r.Version,
			packageurl.Qualifiers{{Key: "goarch", Value: p.Architecture}, {Key: "goos", Value: p.OS}}, "").String(),
		Hashes:   &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(p.Sum[:])}},
		Licenses: licences([]string{"Apache-2.0"}),
	}
	self.BOMRef = self.PackageURL
	if r.Commit != "" {
		self.Properties = &[]cdx.Property{{Name: "vcs:revision", Value: r.Commit}}
	}
	components := make([]cdx.Component, 0, len(p.Modules)+len(beside))
	for _, c := range p.Modules {
		components = append(components, library(c))
	}
	components = append(components, beside...)

	bom := cdx.NewBOM()
	bom.SerialNumber = serial(self.PackageURL, p.Sum)
	bom.Metadata = &cdx.Metadata{Timestamp: r.Date.Format(time.RFC3339), Component: &self}
	bom.Components = &components
	var out bytes.Buffer
	encoder := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	err := encoder.EncodeVersion(bom, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

// library describes a module. The sum of go.sum is told as what it is, a property: it is the hash of no file that anybody has.
func library(c component) cdx.Component {
	folder, name := "", c.Path
	if i := strings.LastIndex(c.Path, "/"); i >= 0 {
		folder, name = c.Path[:i], c.Path[i+1:]
	}
	l := cdx.Component{
		Type: cdx.ComponentTypeLibrary, Name: c.Path, Version: c.Version.Version, Scope: cdx.ScopeRequired,
		PackageURL: packageurl.NewPackageURL(packageurl.TypeGolang, folder, name, c.Version.Version, nil, "").String(),
		Licenses:   licences(c.Licence.IDs),
	}
	l.BOMRef = l.PackageURL
	var properties []cdx.Property
	if c.Sum != "" {
		properties = append(properties, cdx.Property{Name: "go:sum", Value: c.Sum})
	}
	if c.Replaces != "" {
		properties = append(properties, cdx.Property{Name: "go:replaces", Value: c.Replaces})
	}
	if properties != nil {
		l.Properties = &properties
	}
	return l
}

// licences names licences as concluded: they were recognized by their texts.
func licences(ids []string) *cdx.Licenses {
	if len(ids) == 0 {
		return nil
	}
	var all cdx.Licenses
	for _, id := range ids {
		all = append(all, cdx.LicenseChoice{License: &cdx.License{ID: id, Acknowledgement: cdx.LicenseAcknowledgementConcluded}})
	}
	return &all
}

// serial makes the number that a document has to have from what it is about, where others take a random one: a UUID of
// version 8.
func serial(name string, program [sha256.Size]byte) string {
	u := sha256.Sum256(append([]byte(name), program[:]...))
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
