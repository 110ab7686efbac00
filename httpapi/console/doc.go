// Package console owns the pages that people read and work with in a browser:
// what stands, why something does not, and forms to change it.
//
// It guarantees:
//   - It has no power of its own. What a page shows and what a form does goes through
//     [API], the HTTP contract in process, as the key that signed in: its tenant, its
//     role, its limits, preconditions and words hold here as they do there.
//   - A key is read once, at sign-in, and not kept: a session holds what proves later
//     that the key still is what it was. A key that was revoked or has expired ends
//     its sessions at once.
//   - A session is known to the browser by 256 random bits in a cookie that no script
//     reads and no other site sends; here only their hash is kept, in memory, bounded
//     in number and for a short time. See the table at the type the store of package session.
//   - A form does something only if it carries the session's token and was not sent
//     by another origin.
//   - What is shown was escaped by html/template for where it stands. Pages load
//     nothing from elsewhere and run no script but the one file that is embedded;
//     each says so to the browser by its Content-Security-Policy.
//   - Every page can be read, and every form be sent, without script. Script makes
//     pages follow what happens, checks while one types, and says times and numbers
//     as the reader's browser does.
//
// Values can't be shown: the contract never hands one out.
package console
