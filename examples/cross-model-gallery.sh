#!/usr/bin/env bash
# Pictures across models: the background of a scene as one model knows it, the objects of another scene
# as another does, for each pair of three models; and one page to look at them.
# Usage: bash examples/cross-model-gallery.sh [FOLDER]      (default: out/gallery)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-out/gallery}
mkdir -p "$out/z"

comet encode "$here"/clevr-a.png -m clevr -o "$out/z/clevr.z" -q > /dev/null
comet encode "$here"/clevr-toy-1.png -m clevr-toy -o "$out/z/toy.z" -q > /dev/null
comet encode "$here"/clevr-lighting-1.png -m clevr-lighting -o "$out/z/lighting.z" -q > /dev/null

for ground in clevr toy lighting; do
  for objects in clevr toy lighting; do
    printf '%q %q -o %q\n' "$out/z/$ground.z:0" "$out/z/$objects.z:1-4" "$out/$ground-$objects.png"
  done
done > "$out/list.txt"
comet batch "$out/list.txt" -q > /dev/null
comet gallery "$out" --title "Backgrounds and objects of three models" -q
