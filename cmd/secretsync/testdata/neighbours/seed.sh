# What the controllers of the neighbours would have made. Usage: . seed.sh
set -eu

# kinds makes the kinds known to the API server.
kinds() {
  kubectl apply -f "$NEIGHBOURS/kinds.yaml"
  kubectl wait --for=condition=Established --timeout=60s -f "$NEIGHBOURS/kinds.yaml"
}

# own NAMESPACE SECRET KIND APIVERSION OWNER KEY=VALUE: a Secret that a resource owns.
own() {
  uid=$(kubectl -n "$1" get "$3" "$5" -o 'jsonpath={.metadata.uid}')
  kubectl -n "$1" create secret generic "$2" --from-literal "$6"
  kubectl -n "$1" patch secret "$2" --type merge -p \
    '{"metadata":{"ownerReferences":[{"apiVersion":"'"$4"'","kind":"'"$3"'","name":"'"$5"'","uid":"'"$uid"'","controller":true}]}}'
}
