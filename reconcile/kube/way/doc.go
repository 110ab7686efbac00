// Package way owns how a cluster is reached: the kubeconfig and what it names, the service
// account of a pod, tokens, certificates and credential plugins.
//
// # What it guarantees
//
//   - A [Way] was read at once and as a whole. It names no file any more but that of its
//     token, so that nothing reads one later without anybody knowing.
//   - Two ways of which [Way.Same] holds lead to the same server with the same rights. A
//     token file that holds another token does not make another way of it.
//   - A credential plugin ends with its time limit or its context, and what it started
//     ends with it. What it prints to standard output is never told.
//   - Why there is no way is a [Blocked]: in words that tenants may read, and apart from
//     that the detail, with files and addresses, for the operator's log.
//
// It follows nothing and makes no request: when to read anew is for whoever connects.
package way
