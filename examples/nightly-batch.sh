#!/usr/bin/env bash
# A job for every night: each object of every picture put into every other, and into nothing.
# A run that was cut off is completed by the next one, which makes only what is missing, or what
# its picture or model has changed for; a line that fails is named and stops no other.
# Usage: bash examples/nightly-batch.sh [FOLDER [PICTURE...]]
#        (default: out/nightly, the CLEVR pictures beside this script)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-out/nightly}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- "$here"/clevr-a.png "$here"/clevr-b.png
mkdir -p "$out"

comet encode "$@" -m clevr -o "$out" > /dev/null

# One line for each picture. %q quotes names that hold spaces, as a shell wants them.
for to in "$out"/*.z; do
  for from in "$out"/*.z; do
    for object in 1 2 3 4; do
      name=$(basename "$to" .z)-with-$(basename "$from" .z)-$object.png
      if [ "$to" = "$from" ]; then
        printf '%q -o %q\n' "$to:0,$object" "$out/$name"
      else
        printf '%q %q -o %q\n' "$to" "$from:$object" "$out/$name"
      fi
    done
  done
done > "$out/list.txt"

code=0
comet batch "$out/list.txt" --resume > "$out/results.jsonl" || code=$?
case $code in
  0) ;;
  3) echo "some lines failed, the others are done" >&2 ;;
  *) exit "$code" ;;
esac

# How many were made this time.
grep -c '"status": "written"' "$out/results.jsonl" || true
exit "$code"
