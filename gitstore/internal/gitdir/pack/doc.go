// Package pack is how objects are stored: the format of packs, their indexes and
// deltas, to read and to write. What a repository's packs are, and which of them
// are brought together, it doesn't know.
//
//   - [Pack] is a pack that is searched, [Unpacker] reads objects from it.
//   - [Builder] makes the small pack of one write, in memory.
//   - [Source] and [Merger] make one pack of many.
//   - [IndexForeign] finds out what is in a pack that comes from elsewhere.
//   - [Effort] counts what reading costs, and bounds it.
//
// The format is that of gitformat-pack(5), index version 2.
//
// go-git applies the deltas. The rest is not left to it: its encoder searches for
// deltas, where here the edit is known that a delta follows from, and its reader
// unpacks an object before it can tell what that takes.
package pack
