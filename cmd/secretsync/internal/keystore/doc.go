// Package keystore owns the keys of the server where they are kept in Secrets of its home
// namespace, so that several servers share them and none needs a volume: the API keys
// that were made through the API, and the key of the hash that copies carry. It moves
// them there from the data folder, and back.
//
// # What stands there
//
//	Secret                     type                      holds
//	secretsync-keys-<tenant>   secretsync.dev/api-keys   an entry for each key, under the name and with
//	                                                     the content that its file would have
//	secretsync-hash-key        secretsync.dev/hash-key   the hash key, immutable
//	secretsync-moved           secretsync.dev/api-keys   that all was moved to the folder, and when
//
// Each has the annotation secretsync.dev/format. They are found by their type, which
// nobody can change, and not by labels. They hold hashes, never an API key.
//
// # What it guarantees
//
//   - A key that [Cluster.Add] returned without an error for is stored, and one that
//     [Cluster.Remove] did is gone. Each is one write under the resource version that it
//     was decided by; who loses decides again by what stands then.
//   - Of an answer that was lost it finds out what became of the request. Where it can't,
//     or the request may still take effect, the error is [apikey.ErrUnproven].
//   - A Secret that is damaged, or of a format that is not known, is never taken for one
//     without keys: what was known of it before stays in force, [Cluster.Unread] says so,
//     and nothing is written to it. It concerns no other tenant.
//   - A note of a move that is damaged, or of a format that is not known, is neither taken for a
//     move nor for none: no server begins with the Secrets, and one that runs makes and revokes
//     no key.
//   - Events, listings and answers may come in any order: none of them brings a key back that
//     a later one has told to be revoked.
//   - While the API server can't be reached, the keys that are known go on.
//
// When a server knows of what another one did:
//
//	                            the server that did it   the others
//	a key is made, or revoked   before it answers        when the watch tells, commonly within
//	                                                     some milliseconds
//	… while the watch is down   –                        when it is up again: within 5 s after the
//	                                                     API server is
//	… of tenants that are       –                        before it serves them: [Cluster.Refresh]
//	taken over
//	a key is shown whose        –                        before it is refused: [Cluster.CatchUp]
//	tenant nobody answers for
//
// Requests of a tenant are answered by one server at a time, where there are replicas, so
// that a key which was revoked is refused by all of them.
//
// # Why it is here
//
// The packages that use keys ([httpapi], apikey) know nothing of Kubernetes, and only say
// what a store has to do; so neither they nor who embeds them link client-go. Its
// informers are not used for the same reason as in reconcile/kube: they believe that
// resource versions never go back, and pause for up to half a minute after a failure,
// for which a revoked key would be let in.
package keystore
