#!/usr/bin/env bash
# What is too long for CI: every fuzz target for a while, those of the fast paths and
# loaders for longer, and the long variants of the whole-binary tests. Run it before
# an issue is closed.
#
#	soak.sh [-k] [PACKAGE…]   the packages' fuzz targets alone; none: everything
#
#	-k        keep: copy what the fuzzers found worth trying into testdata, where
#	          every test run tries it again
#	FUZZTIME  wall time of a target (default 60s)
#	FUZZCPU   processor seconds of a deep target (default 600)
set -euo pipefail
cd "$(dirname "$0")"
: "${FUZZTIME:=60s}" "${FUZZCPU:=600}"
tags=nobadger,nomysql,nopgx
keep=
[[ ${1:-} == -k ]] && keep=yes && shift

# deep are the targets that hold a fast path to the plain one, and the loaders.
deep='pattern:FuzzPattern pattern:FuzzGroks needle:FuzzFinder expression:FuzzClosures scenarios:FuzzHubFilters
	scenarios:FuzzLoad parsers:FuzzGrok parsers:FuzzOracle parsers:FuzzParseDate parsers:FuzzSyslog parsers:FuzzLoad
	replay:FuzzReplay'
# most is how many texts are kept for a target.
most=64

failed=()

# fuzz PACKAGE TARGET SECONDS runs a target; it prints the last words and adds the
# processor time to spent. It fails where the target does.
fuzz() {
	local TIMEFORMAT='cpu %U' out
	if ! out=$({ time go test -tags $tags -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 20x "$1"; } 2>&1); then
		failed+=("$1 $2")
		printf '%s\n' "$out"
		return 1
	fi
	printf '%s\n' "$out" | grep -E '^fuzz: elapsed' | tail -1
	spent=$(awk -v s="$spent" '/^cpu / { s += $2 } END { print int(s) }' <<<"$out")
}

# remember PACKAGE TARGET copies the newest texts of the fuzzer's cache, as long as there is room.
remember() {
	local from to room
	from=$(go env GOCACHE)/fuzz/$1/$2 to=$(go list -f '{{.Dir}}' "$1")/testdata/fuzz/$2
	[[ -d $from ]] || return 0
	mkdir -p "$to"
	room=$((most - $(find "$to" -type f | wc -l)))
	((room > 0)) || return 0
	find "$from" -type f -size -2k -printf '%T@ %p\n' | sort -rn | sed -n "1,${room}p" | cut -d' ' -f2- | xargs -r cp -t "$to"
}

for pkg in $(go list -tags $tags "${@:-./...}"); do
	if ! list=$(go test -tags $tags -list '^Fuzz' "$pkg"); then
		failed+=("$pkg does not build")
		continue
	fi
	for target in $(grep '^Fuzz' <<<"$list" || true); do
		spent=0
		if [[ " ${deep//[$'\n\t']/ } " == *" ${pkg##*/}:$target "* ]]; then
			echo "== $pkg $target, $FUZZCPU processor seconds"
			while ((spent < FUZZCPU)) && fuzz "$pkg" "$target" 60s; do :; done
			[[ -n $keep ]] && remember "$pkg" "$target"
		else
			echo "== $pkg $target, $FUZZTIME"
			fuzz "$pkg" "$target" "$FUZZTIME" || true
		fi
		echo "   $spent processor seconds"
	done
done
if (($# == 0)); then
	echo "== long tests"
	RAMPART_SOAK=1 go test -tags $tags -count=1 -timeout 90m ./internal/e2e ./logsources/... ./scenarios ./decisions ./firewall ./replay ./cluster ./appliance |
		grep -v 'no test files' || failed+=("long tests")
fi
if ((${#failed[@]})); then
	printf 'failed: %s\n' "${failed[@]}"
	exit 1
fi
echo "soak: all well"
