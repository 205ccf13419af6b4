#!/usr/bin/env bash
# A verified receiver of web hooks in a shell, with openssl, socat and jq:
#
#     apt install openssl socat jq
#     PORT=3001 SECRET_FILE=./secret ./receiver.sh
#
# The file has the hook's signing secret (whsec_…) on its first line, and during a rotation the one before it on the second.
# socat runs this script again for each connection, with the request on standard input and the answer on standard output.
# For hooks that fire now and then; `xo-hooks listen` does the same faster, and more.
set -euo pipefail

BODY_CAP_BYTES=$((16 * 1024 * 1024))
TOLERANCE_S=300
HEAD_LIMIT_S=10 # for all lines before the body: only so many connections are served at once

# Yours: what is to be done about an event, which is in the file $1.
handle() {
  jq -c '{method, type, userName, params, result, error}' "$1" >&2
}

sha256() { openssl dgst -sha256 -binary; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
bytes() { printf "$(sed 's/../\\x&/g' <<<"$1")"; } # of hexadecimal digits

# padded KEY MASK: the key, a block of 64 bytes long, with the mask over each byte.
padded() {
  local i
  for ((i = 0; i < 128; i += 2)); do
    local byte=${1:i:2}
    printf '%02x' $((0x${byte:-00} ^ $2))
  done
}

# hmac KEY: base64 of the HMAC-SHA256 of standard input (RFC 2104). Made of two digests, because openssl takes a key on its command
# line only, where every user of the machine can read it.
hmac() {
  local inner
  inner=$({ bytes "$(padded "$1" 0x36)"; cat; } | sha256 | hex)
  { bytes "$(padded "$1" 0x5c)"; bytes "$inner"; } | sha256 | base64 -w 0
}

answer() {
  printf 'HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1"
  exit 0
}

# verified FILE: has the body in FILE been signed with one of the secrets, now?
verified() {
  local now secret key good given signatures
  now=$(date +%s)
  [[ -n $id && $timestamp =~ ^[1-9][0-9]{0,11}$ ]] || return 1
  ((timestamp >= now - TOLERANCE_S && timestamp <= now + TOLERANCE_S)) || return 1
  read -ra signatures <<<"$signature"
  while read -r secret || [[ -n $secret ]]; do
    [[ $secret == whsec_* ]] || continue
    key=$(base64 -d <<<"${secret#whsec_}" | hex)
    ((${#key} > 0 && ${#key} <= 128)) || continue
    good=$({ printf '%s.%s.' "$id" "$timestamp"; cat "$1"; } | hmac "$key")
    for given in "${signatures[@]}"; do
      # Digests are compared, so that the time it takes tells nothing about the signature.
      [[ $(sha256 <<<"v1,$good" | hex) == "$(sha256 <<<"$given" | hex)" ]] && return 0
    done
  done <"$SECRET_FILE"
  return 1
}

# The next line of the request's head, in `line`. SECONDS counts from the start of this script, which is that of the request.
head_line() {
  ((SECONDS < HEAD_LIMIT_S)) && IFS= read -r -t $((HEAD_LIMIT_S - SECONDS)) line && line=${line%$'\r'}
}

request() {
  local line name value method='' length='' expect='' body
  id='' timestamp='' signature=''
  head_line || exit 0
  method=${line%% *}
  while head_line || exit 0; [[ -n $line ]]; do
    name=${line%%:*} value=${line#*:}
    value=${value#"${value%%[! ]*}"}
    case ${name,,} in
    content-length) length=$value ;;
    expect) expect=$value ;;
    webhook-id) id=$value ;;
    webhook-timestamp) timestamp=$value ;;
    webhook-signature) signature=$value ;;
    esac
  done
  [[ $method == POST ]] || answer '405 Method Not Allowed'
  [[ $length =~ ^[0-9]{1,9}$ ]] || answer '411 Length Required'
  ((10#$length <= BODY_CAP_BYTES)) || answer '413 Content Too Large'
  [[ -z $expect ]] || printf 'HTTP/1.1 100 Continue\r\n\r\n'
  body=$(mktemp)
  # shellcheck disable=SC2064 # the name of now
  trap "rm -f '$body'" EXIT
  timeout 30 head -c "$((10#$length))" >"$body" || answer '408 Request Timeout'
  verified "$body" || answer '401 Unauthorized'
  handle "$body" || answer '500 Internal Server Error' # xo-hooks tries again
  answer '200 OK'
}

if [[ ${1:-} == --request ]]; then
  request
else
  [[ -r $SECRET_FILE ]] || { echo "SECRET_FILE: can't be read" >&2; exit 2; }
  exec socat -d -d "TCP-LISTEN:${PORT:-3001},bind=127.0.0.1,reuseaddr,fork,max-children=20" EXEC:"bash $0 --request",nofork
fi
