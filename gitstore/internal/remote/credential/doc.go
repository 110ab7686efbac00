// Package credential is what proves to a remote who we are, and to us who it is:
// passwords and tokens, tokens of GitHub Apps, SSH keys, known host keys,
// certificates. All of it comes from files and is followed: each use looks
// whether its file is another, and reads it again if so. A file that can't be
// read is an error, also if it could be before: taking it away withdraws it.
//
// No error holds what a file holds.
//
// Tokens of GitHub Apps are kept by package githubapp, which package forge shares.
package credential
