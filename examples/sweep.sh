#!/usr/bin/env bash
# Turns one component of a picture up and down: its weight from -0.5 to 2, a picture each.
# Usage: bash examples/sweep.sh [FOLDER [PICTURE [COMPONENT [WEIGHT...]]]]
#        (default: out/sweep, the first CLEVR picture beside this script, component 1)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-out/sweep}
picture=${2:-$here/clevr-a.png}
component=${3:-1}
if [ $# -gt 3 ]; then shift 3; else set -- -0.5 0 0.25 0.5 1 2; fi
mkdir -p "$out"

name=$(basename "$picture")
z=$out/${name%.*}.z
comet encode "$picture" -m "${COMET_MODEL:-clevr}" -o "$z" -q > /dev/null

# All of the picture, and then the component once more: weights of the same component add up.
for weight in "$@"; do
  more=$(awk -v weight="$weight" 'BEGIN { print weight - 1 }')
  printf '%q %q -o %q\n' "$z" "$z:$component*$more" "$out/weight-$weight.png"
done > "$out/list.txt"
comet batch "$out/list.txt" -q
