#!/usr/bin/env bash
# What is too long for CI: every fuzz target for a while, and the long variants of
# the whole-binary tests. Run it before an issue is closed.
#
#	FUZZTIME  per target (default 60s)
set -euo pipefail
cd "$(dirname "$0")"
: "${FUZZTIME:=60s}"
tags=nobadger,nomysql,nopgx

failed=()
for pkg in $(go list -tags $tags ./...); do
	for target in $(go test -tags $tags -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $target, $FUZZTIME"
		go test -tags $tags -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" "$pkg" | tail -2 || failed+=("$pkg $target")
	done
done
echo "== long tests"
RAMPART_SOAK=1 go test -tags $tags -count=1 -timeout 60m ./internal/e2e ./logsources/... ./scenarios ./decisions ./firewall |
	grep -v 'no test files' || failed+=("long tests")
if ((${#failed[@]})); then
	printf 'failed: %s\n' "${failed[@]}"
	exit 1
fi
echo "soak: all well"
