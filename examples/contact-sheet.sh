#!/usr/bin/env bash
# Every mixture of some components of two pictures, each a file of its own, and one sheet of them
# all with their names.
# Usage: bash examples/contact-sheet.sh [FOLDER [A B [COMPONENTS]]]
#        (default: out/contact, the CLEVR pictures beside this script, components 1,2,3)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-out/contact}
a=${2:-$here/clevr-a.png}
b=${3:-$here/clevr-b.png}
components=${4:-1,2,3}

# ImageMagick 7 calls it `magick montage`, ImageMagick 6 `montage`.
if command -v magick > /dev/null; then
  montage() { magick montage "$@"; }
elif ! command -v montage > /dev/null; then
  echo "contact-sheet.sh: ImageMagick is missing; install it, such as apt install imagemagick" >&2
  exit 1
fi

mkdir -p "$out/single"
comet recombine "$a" "$b" --all --components "$components" -m "${COMET_MODEL:-clevr}" \
  --each "$out/single" -o "$out/mixtures.png" -q > /dev/null
# An ImageMagick without any font cannot write names; the sheet is made all the same.
sheet() {
  montage "$@" "$out"/single/*.png -filter point -resize 128x128 -geometry +6+6 "$out/sheet.png"
}
sheet -label '%t' 2> /dev/null || sheet
echo "$out/sheet.png"
