// Package clusters answers what is asked of a tenant's clusters and of what is in them: how
// they stand, the copies that no definition claims any more, and those whose deletion is
// held. Why a cluster can't be reached is told nobody: it tells of the operator's network.
package clusters
