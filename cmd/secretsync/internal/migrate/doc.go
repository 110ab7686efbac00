// Package migrate turns the resources of two neighbouring controllers, External
// Secrets Operator and Vault Secrets Operator, into definitions.
//
// It owns what their fields mean. [Read] takes the resources out of a text,
// [Convert] decides for all of them together what becomes a definition, and
// [Plan.Handover] tells how a Secret that is live goes from its controller to us.
// All three are pure; reading and writing files is the caller's.
//
//	text ── Read ──▶ []Resource ── Convert ──▶ Plan ──▶ definitions, to be encoded
//	                                            ├─────▶ findings, what did not come along
//	                                            ├─────▶ Handover, a shell script
//	                                            └─────▶ Policy, what Vault must allow
//
// What it guarantees:
//   - Type, labels, annotations, keys, templates, namespaces by label, intervals and
//     restarts come along where a definition has the same; one definition stands for
//     all resources with the same content.
//   - A resource becomes part of a definition only if the Secret would hold the
//     same keys and values, or, of a key that is found in one of two ways, it is told. Where a field could make another Secret of it, the
//     resource is refused as a whole. One key is excepted, and told: _raw, which
//     Vault Secrets Operator adds to every Secret unless it is told not to.
//   - Nothing is dropped in silence. Each field that is not carried over, known or
//     unknown, is a [Finding] with file, line, reason and remedy.
//   - The same resources give the same plan, in whatever order they come.
//   - No value of a Secret and no text of a template is in any message.
package migrate
