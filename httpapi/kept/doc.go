// Package kept keeps answers as they were given, so that what is asked for again and
// again is made once.
//
// It guarantees:
//   - An answer is given again only while neither the definitions it was made from nor
//     any status of the tenant has changed, and for no more than a moment.
//   - Reading takes no lock.
//   - The bytes that are kept are bounded, over all tenants.
package kept
