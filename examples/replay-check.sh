#!/usr/bin/env bash
# Makes every picture of a folder again from its own recipe, somewhere else, and says which differ.
# Usage: bash examples/replay-check.sh [FOLDER]      (default: out/demo)
# Ends with 1 if any differs or cannot be made again; pictures without a recipe are passed over.
# The default folder is what demo.sh makes; where there are no pictures this ends with 2.
set -eu
folder=${1:-out/demo}
if [ -z "$(find "$folder/" -maxdepth 1 -name '*.png' 2> /dev/null | head -n 1)" ]; then
  echo "there are no pictures in '$folder'; run demo.sh first, or name a folder of PNGs" >&2
  exit 2
fi
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT

cp "$folder"/*.png "$copies"
# What has changed since (weights, versions, devices) is said by comet itself, on stderr.
(cd "$copies" && comet replay ./*.png > /dev/null) || true

same=0
bad=0
for picture in "$folder"/*.png; do
  name=$(basename "$picture" .png)
  if [ ! -e "$copies/$name-replay.png" ]; then
    if comet inspect "$picture" --json | grep -q '"verb"'; then
      echo "$name.png cannot be made again"
      bad=$((bad + 1))
    fi
  elif cmp -s "$picture" "$copies/$name-replay.png"; then
    same=$((same + 1))
  else
    echo "$name.png differs"
    bad=$((bad + 1))
  fi
done
echo "$same the same, $bad not"
[ "$bad" -eq 0 ]
