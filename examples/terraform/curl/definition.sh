#!/bin/sh
# definition.sh create|targets|delete: one call of the API for definition NAME of
# TENANT, with BODY. SECRETSYNC is the server's address, KEY an admin key. What
# the server answers to a mistake is one sentence; it is shown, and the call fails.
set -eu
secrets="$SECRETSYNC/api/v1/tenants/$TENANT/secrets"

call() {
  curl -sS --fail-with-body -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' "$@"
}

# etag prints the definition's ETag as it is now.
etag() {
  call -o /dev/null -D - "$secrets/$NAME" | tr -d '\r' | sed -n 's/^[Ee][Tt][Aa][Gg]: //p'
}

case "$1" in
create) call -X POST -d "$BODY" "$secrets" ;;
targets) call -X PATCH -H "If-Match: $(etag)" -d "$BODY" "$secrets/$NAME" ;;
delete) call -X DELETE -H "If-Match: $(etag)" "$secrets/$NAME" ;;
*) echo "usage: definition.sh create|targets|delete" >&2 && exit 2 ;;
esac
