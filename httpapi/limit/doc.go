// Package limit owns how much may be asked for, and by whom it is counted:
//
//	                counted in                   what runs out
//	--------------  ---------------------------  ------------------------------------
//	[Addresses]     an address without a key     requests a second; failed
//	                that is right                authentications, which make it wait
//	                                             longer each time
//	[Keys]          a key that was right         requests a second
//	[Share]         a tenant                     bodies being read, requests that
//	                                             wait, plans being made
//
// It guarantees:
//   - Nothing here waits: a limit says at once how long the client has to.
//   - What is remembered is bounded, whoever comes: so many addresses, and keys
//     that were right.
//   - Limits that change are in force with the next request; what was taken before
//     stays taken.
//   - Who is at his end takes nothing from others: one flooded address leaves the
//     keys behind it alone, one tenant the other tenants.
package limit
