// Command image packs secretsync's programs for those who run them: as an OCI image without any container engine, and as
// release archives. `make image` and `make release` call it; README.md beside this file is for who uses what they make.
//
// Guarantees:
//   - The same commit, built by the same version of Go, gives the same bytes, wherever and whenever it is built: entries are
//     sorted, owned by nobody in particular and dated by the commit, and nothing of this machine goes in. The certificates of
//     the image come from a module that go.sum pins and not from the machine.
//   - What is said of a program (its platform, its modules) is read from the program itself, and one that would not be the same
//     elsewhere, or does not run without a C library, is refused.
//
// How a file gets here:
//
//	go build (Makefile) ─→ program ─┬─ image.go ─→ layers, index ─┬─ layout.go ─→ secretsync-image_<version>.oci.tar
//	                                │                             └─ push.go ──→ a registry
//	                                ├─ sbom.go ──→ secretsync…_<version>_<platform>.cdx.json
//	                                └─ archive.go → secretsync_<version>_<platform>.tar.gz, SHA256SUMS
//
// It is a module of its own, so that what packs is no dependency of what is packed.
package main
