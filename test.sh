#!/usr/bin/env bash
# Runs every test of ape: ./test.sh [-short] [install] [go] [fuzz] [js]
#
# It needs Go, Node and npm, and installs what else the tests use: from Debian
# a C compiler (for the race detector), chromium, nginx, caddy and
# redis-server, from npm the TypeScript compiler. What cannot be installed is
# named, and the tests that need it are skipped; when CI is set or APE_REQUIRE
# names it, that is a failure.
#
#   -short       short Go tests, no fuzzing
#   steps        only these; all of them by default
#   FUZZTIME     how long each fuzz target runs, 5s by default
#   APE_REQUIRE  programs that must be there: names with commas, or all
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PATH=$PATH:/usr/sbin:/sbin # where Debian has nginx
export GOWORK=off          # each module is tested with its own versions
if [ -n "${CI:-}" ]; then
  export APE_REQUIRE=${APE_REQUIRE:-all}
fi

short=()
steps=()
for arg in "$@"; do
  case $arg in
    -short) short=(-short) ;;
    install | go | fuzz | js) steps+=("$arg") ;;
    *) sed -n '2,14s/^# \{0,1\}//p' test.sh >&2; exit 2 ;;
  esac
done
wanted() { [ ${#steps[@]} -eq 0 ] || [[ " ${steps[*]} " == *" $1 "* ]]; }

child=       # process group of what is running
scratch=     # directory, removed at the end
no_start=    # Debian's switch against starting services, removed at the end
as_root=()   # how to become root
results=()   # a line for each step
failed=0
skipped=0
mishap=FAIL  # what a step that fails counts as

cleanup() {
  trap - EXIT
  if [ -n "$child" ]; then
    kill -TERM -- "-$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  if [ -n "$no_start" ]; then "${as_root[@]}" rm -f "$no_start"; fi
  if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# note RESULT SECONDS NAME adds a line to the summary.
note() {
  results+=("$(printf '%-4s %5ds  %s' "$1" "$2" "$3")")
  case $1 in
    FAIL) failed=$((failed + 1)) ;;
    skip) skipped=$((skipped + 1)) ;;
  esac
}

# missing NAME TEXT says that a program cannot be had here, which is a failure
# where it is required.
missing() {
  local result=skip
  case ,${APE_REQUIRE:-}, in
    *,all,* | *,"$1",*) result=FAIL ;;
  esac
  echo "test.sh: $2"
  note "$result" 0 "$2"
}

# run NAME SECONDS DIRECTORY COMMAND... runs a step in a process group of its
# own, for at most that long.
run() {
  local name=$1 limit=$2 dir=$3 begin=$SECONDS status=0
  shift 3
  printf '\n== %s\n' "$name"
  set -m
  timeout -k 10 "$limit" env -C "$dir" "$@" </dev/null &
  child=$!
  set +m
  wait "$child" || status=$?
  child=
  if [ "$status" -eq 0 ]; then
    note ok $((SECONDS - begin)) "$name"
    return
  fi
  if [ "$status" -eq 124 ]; then echo "test.sh: $name was ended after $limit s"; fi
  note "$mishap" $((SECONDS - begin)) "$name"
  return 1
}

# find_files GLOB lists files of the project that match, whatever git knows.
find_files() { find . \( -name .git -o -name node_modules -o -name testdata \) -prune -o -name "$1" -type f -print | sort; }

install_debian() {
  local packages=() programs=() program
  for program in gcc chromium nginx caddy redis-server; do
    if command -v "$program" >/dev/null; then continue; fi
    programs+=("$program")
    case $program in
      gcc) packages+=(gcc libc6-dev) ;;
      nginx) packages+=(nginx-light) ;;
      *) packages+=("$program") ;;
    esac
  done
  if [ ${#programs[@]} -eq 0 ]; then return; fi
  if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
    if [ ! -t 0 ]; then as_root=(sudo -n); fi
  fi
  if command -v apt-get >/dev/null; then
    # The tests start servers of their own; the packages' shall not run.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
      no_start=/usr/sbin/policy-rc.d
      printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$no_start" >/dev/null &&
        "${as_root[@]}" chmod +x "$no_start" || no_start=
    fi
    run "apt-get update" 300 . "${as_root[@]}" apt-get -qq update &&
      run "apt-get install ${packages[*]}" 900 . "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install -y --no-install-recommends "${packages[@]}" || true
  fi
  for program in "${programs[@]}"; do
    if ! command -v "$program" >/dev/null; then missing "$program" "$program is not installed"; fi
  done
}

install_npm() {
  if [ js/node_modules/.package-lock.json -nt js/package-lock.json ]; then return; fi
  run "npm ci" 300 js npm ci --no-audit --no-fund || true
}

test_go() {
  local module race=(-race) files
  files=$(find_files '*.go' | xargs gofmt -l)
  if [ -n "$files" ]; then
    printf '\n== gofmt\nnot formatted, run gofmt -w on:\n%s\n' "$files"
    note FAIL 0 gofmt
  else
    note ok 0 gofmt
  fi
  if ! command -v "$(go env CC)" >/dev/null; then
    race=()
    missing gcc "no C compiler: the tests run without the race detector"
  fi
  for module in $(find_files go.mod); do
    module=$(dirname "$module")
    run "go vet $module" 900 "$module" go vet ./... || true
    run "go mod tidy $module" 300 "$module" go mod tidy -diff || true
    run "go test $module" 1500 "$module" go test "${race[@]}" "${short[@]}" -vet=off -count=1 -p 2 -timeout 15m ./... || true
  done
}

# Each package is built once, with the instrumentation for fuzzing, and its
# binary is run for one target after the other.
test_fuzz() {
  local module dir binary cache target
  scratch=$(mktemp -d)
  binary=$scratch/fuzz.test
  for module in $(find_files go.mod); do
    module=$(dirname "$module")
    for dir in $(fuzz_dirs "$module"); do
      run "build fuzz targets $dir" 600 "$dir" go test -c -vet=off -fuzz=. -o "$binary" . || continue
      cache=$(go env GOCACHE)/fuzz/$(cd "$dir" && go list)
      for target in $(cd "$dir" && "$binary" -test.list '^Fuzz'); do
        run "fuzz $dir $target" 300 "$dir" "$binary" -test.run='^$' -test.fuzz="^$target\$" \
          -test.fuzztime="${FUZZTIME:-5s}" -test.fuzzcachedir="$cache" -test.parallel=2 || true
      done
    done
  done
}

# fuzz_dirs MODULE lists the directories of a module, not of one inside it,
# that hold fuzz targets.
fuzz_dirs() {
  local file dir
  find_files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -r -n 1 dirname | sort -u | while read -r dir; do
    file=$(cd "$dir" && go env GOMOD)
    if [ "$file" = "$(cd "$1" && pwd)/go.mod" ]; then echo "$dir"; fi
  done
}

test_js() {
  local files=()
  if [ -x js/node_modules/.bin/tsc ]; then
    run "tsc" 300 js node_modules/.bin/tsc -p . --strict --noEmit || true
  else
    missing typescript "the TypeScript compiler is not installed: types are not checked"
  fi
  mapfile -t files < <(cd js && find test -name '*.test.mjs' | sort)
  if [ ${#files[@]} -eq 0 ]; then
    note FAIL 0 "node --test: js/test holds no *.test.mjs"
    return
  fi
  run "node --test" 600 js node --test "${files[@]}" || true
}

for program in go node npm; do
  if ! command -v "$program" >/dev/null; then
    echo "test.sh: $program is missing; install it first" >&2
    exit 1
  fi
done
if wanted install; then
  mishap=skip
  install_debian
  install_npm
  mishap=FAIL
  if [ "$failed" -gt 0 ]; then steps=(none); fi
fi
if wanted go; then test_go; fi
if wanted fuzz && [ ${#short[@]} -eq 0 ]; then test_fuzz; fi
if wanted js; then test_js; fi

printf '\n== summary, %d s\n' "$SECONDS"
printf '%s\n' "${results[@]}"
if [ "$failed" -gt 0 ]; then
  echo "FAIL: $failed of ${#results[@]} steps"
  exit 1
fi
echo "ok: ${#results[@]} steps, $skipped of them skipped"
