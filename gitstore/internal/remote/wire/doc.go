// Package wire is Git's protocol between a client and a server, as bytes: what is
// sent, and what is read of what comes. It knows neither connections nor
// credentials; package remote carries what is written here.
//
// Reading costs bounded memory whatever comes: of an advertisement only the
// references that were asked for are kept, of a server's words the beginning,
// and packs pass through. What isn't the protocol is [ErrMalformed].
//
// # Which versions
//
//	service             spoken                          because
//	------------------  ------------------------------  ---------------------------------------
//	references, fetch   version 2                       ls-refs with prefixes answers with the
//	                                                    references asked for, in one request
//	references, fetch   version 0 and 1, if the server  there are such servers, Azure DevOps
//	                    knows no other                  among them
//	push                version 0                       there is no other
//
// A fetch is one request in either version: wants, some haves and "done" at
// once. The server answers which haves it knows, if it says so at all, and
// sends the pack. With a mirror that is no more than a few commits behind
// nothing is gained by asking first. That is also all that multi_ack asks of a
// client, which is why it is offered here, for Azure DevOps, without which that
// refuses.
//
// # Why not go-git's packp
//
// go-git 5 speaks no version 2, its pkt-line scanner takes the delimiter of
// version 2 for an error, and it reads an advertisement into maps of all
// references: a million of them, 67 MB on the wire, leave 118 MB in memory there,
// and here less than one. Its client knows no multi_ack.
package wire
