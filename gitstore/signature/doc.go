// Package signature knows signed commits: it takes a commit's signature apart,
// says whether one of the listed keys made it, and signs commits with a key of
// its own. It reads bytes alone, no file and no repository.
//
// It goes by what stock Git does and has done by others:
//
//   - A commit is signed over its bytes without the header gpgsig (and without
//     gpgsig-sha256, which is ignored). The header begins with what kind of
//     signature it is: an SSH one, as PROTOCOL.sshsig of OpenSSH describes it, or an
//     OpenPGP one (RFC 9580).
//   - Who may sign with SSH is listed in an allowed-signers file, as ssh-keygen(1)
//     describes it under ALLOWED SIGNERS; who may with OpenPGP, by his public key.
//   - A key counts at the time that the commit gives (the committer's): so does
//     git verify-commit, which tells ssh-keygen that time. For OpenPGP it is the
//     time that the signature gives. Both are what the signer says. A key that
//     was stolen can therefore sign for any time it was valid at, and is to be taken
//     off the list, not to be given an end.
//   - As with Git, the signer need not be the committer whom the commit names:
//     principals tell who a key belongs to, and bound what certificates can say.
//
// Where it is stricter than they are: a commit has one gpgsig, behind the committer;
// an OpenPGP signature is a single one, over bytes and not over text; an RSA key has
// 2048 bits; a security key was touched; a certificate names a principal. DSA and
// SHA-1 are refused.
package signature
