// Package tenants says what a server is given of each tenant that it answers for: the
// repository of its definitions, and the ways in which that is changed. It decides
// nothing; what it asks of a repository is what the handlers of requests need.
package tenants
