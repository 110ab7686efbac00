// Package credential is what proves to a remote who we are, and to us who it is:
// passwords and tokens, tokens of GitHub Apps, SSH keys, known host keys,
// certificates. All of it comes from files and is followed: each use looks
// whether its file is another, and reads it again if so. A file that can't be
// read is an error, also if it could be before: taking it away withdraws it.
//
// No error holds what a file holds.
//
// JWTs are signed by golang-jwt, which brings nothing else along; ghinstallation,
// which gets whole tokens of GitHub Apps, brings a client of GitHub's whole API,
// in a new major version every few months, and keeps the key that it was made with.
package credential
