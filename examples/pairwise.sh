#!/usr/bin/env bash
# Each picture with each: the background of the one (component 0) under the objects of the
# other (1 to 4).
# Usage: bash examples/pairwise.sh [FOLDER [PICTURE...]]
#        (default: out/pairwise, the CLEVR pictures beside this script)
# COMET_MODEL names another model than clevr.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-out/pairwise}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- "$here"/clevr-a.png "$here"/clevr-b.png "$here"/clevr-toy-1.png
mkdir -p "$out/z"

comet encode "$@" -m "${COMET_MODEL:-clevr}" -o "$out/z" -q > /dev/null

# A line a cell of the matrix; the files sort row by row.
for ground in "$out"/z/*.z; do
  for objects in "$out"/z/*.z; do
    name=$(basename "$ground" .z)-under-$(basename "$objects" .z).png
    printf '%q %q -o %q\n' "$ground:0" "$objects:1-4" "$out/$name"
  done
done > "$out/list.txt"
comet batch "$out/list.txt" -q
