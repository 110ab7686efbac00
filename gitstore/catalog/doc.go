// Package catalog is what one commit holds, as a value: which definitions, at which
// revision each, and what else lies among them. Package gitstore makes catalogs of a
// repository; whoever reads what is desired needs this package alone.
//
// What it guarantees: a [Snapshot] and its entries never change, so that they are read
// without a lock and by any number of goroutines; and [Diff] depends on nothing but
// the two snapshots it compares.
package catalog
