#!/bin/sh
# A function of a `provided` runtime in plain shell: the Runtime API by hand.
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
    headers=$(mktemp)
    event=$(curl -sS -D "$headers" "$api/next")
    id=$(sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: *\([^[:space:]]*\).*/\1/p' "$headers")
    rm -f "$headers"
    echo "$event" | sed 's/"data": *"/\n&/g' | sed -n 's/^"data": *"\([^"]*\)".*/\1/p' | while read -r data; do
        echo "Decoded payload: $(echo "$data" | base64 -d)"
    done
    curl -sS -o /dev/null -X POST "$api/$id/response" -d '{"ok":true}'
done
