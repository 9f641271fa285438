#!/usr/bin/env bash
# Takes example pictures apart and puts their components together again, with the shipped weights.
# Usage: bash examples/demo.sh [FOLDER]      (default: out/demo)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-out/demo}
mkdir -p "$out"

# CLEVR: component 0 is the background and its light, components 1 to 4 are one object each. The model learned from
# 64 pixels; --size 256 draws sharper outlines.
comet encode "$here"/clevr-a.png "$here"/clevr-b.png -m clevr -o "$out"
a=$out/clevr-a.z
b=$out/clevr-b.z
comet decompose "$here"/clevr-a.png "$here"/clevr-b.png -m clevr -o "$out"/clevr-decompose.png
comet gradients "$here"/clevr-a.png "$here"/clevr-b.png -m clevr --overlay -o "$out"/clevr-gradients.png
comet compose "$a":0-2 "$b":3,4 --size 256 -o "$out"/clevr-two-and-two.png
comet compose "$a" "$b":1-4 --size 256 -o "$out"/clevr-eight.png
comet compose "$a":1 -o "$out"/clevr-one.png
comet recombine "$a" "$b" -o "$out"/clevr-swaps.png

# Tetris: one piece in each component.
comet encode "$here"/tetris-a.png "$here"/tetris-b.png -m tetris -o "$out"
comet decompose "$here"/tetris-a.png "$here"/tetris-b.png -m tetris -o "$out"/tetris-decompose.png
comet gradients "$here"/tetris-a.png "$here"/tetris-b.png -m tetris --overlay -o "$out"/tetris-gradients.png
comet compose "$out"/tetris-a.z:0-2 "$out"/tetris-b.z:3 -o "$out"/tetris-swap.png

# Faces: components of pictures that the models were not trained on. One face with its hair (component 3)
# in the colours and the light of another; less of the colours; and each component from the other face.
comet compose "$here"/face-128-a.z -o "$out"/face-128-a.png
comet compose "$here"/face-128-b.z -o "$out"/face-128-b.png
comet compose "$here"/face-128-a.z:3 "$here"/face-128-b.z:0-2 -o "$out"/faces-128-mix.png
comet compose "$here"/face-128-a.z:0,2,3 "$here/face-128-a.z:1*0.1" -o "$out"/faces-128-weight.png
comet recombine "$here"/face-128-a.z "$here"/face-128-b.z -o "$out"/faces-128-swaps.png
comet recombine "$here"/face-c.z "$here"/face-b.z -o "$out"/faces-swaps.png
comet compose "$here"/face-c.z:3 "$here"/face-d.z:0-2 -o "$out"/face.png

# A face and a drawing, by one model for both: each component from the other.
comet compose "$here"/face-a.z -o "$out"/face-a.png
comet recombine "$out"/face-a.png "$here"/toon-2.png -m faces-toon -o "$out"/toon-swaps.png

# A room: the camera, the strength of the light, and the lamp in two parts; with labels the lamp is one component.
# Roads: the brightness of the road, the scene, and the colours of sky and light, between the look of a camera and that of a game.
comet recombine "$here"/room-1.png "$here"/room-2.png -m room -o "$out"/room-swaps.png
comet encode "$here"/room-1.png "$here"/room-2.png -m room-labelled -o "$out"
comet compose "$out"/room-1.z "$out"/room-2.z:light -o "$out"/two-lamps.png
comet recombine "$here"/drive-real-1.png "$here"/drive-virtual-1.png -m drive -o "$out"/drive-swaps.png

# CLEVR in strong light: the objects of one picture in the light of the other.
comet encode "$here"/clevr-lighting-1.png "$here"/clevr-lighting-2.png -m clevr-lighting -o "$out"
comet recombine "$out"/clevr-lighting-1.z "$out"/clevr-lighting-2.z -o "$out"/lighting-swaps.png
comet compose "$out"/clevr-lighting-2.z:light "$out"/clevr-lighting-1.z:1-4 --size 256 -o "$out"/relit.png
comet recombine "$here"/clevr-lighting-1.png "$here"/clevr-lighting-2.png -m clevr-lighting --components light -o "$out"/relight.png
comet compose "$out"/clevr-lighting-1.z:light "$a":1,2 "$out"/clevr-lighting-1.z:3,4 --size 256 -o "$out"/two-models.png

# Two models in one picture: toys, a cube and a ball; a CLEVR scene with a piece of Tetris, which acts more
# softly by its weight.
comet encode "$here"/clevr-toy-2.png -m clevr-toy -o "$out"
comet compose "$out"/clevr-toy-2.z "$a":1 "$b":4 --size 256 -o "$out"/toys-and-solids.png
comet compose "$a" "$out/tetris-a.z:1*0.05" --size 256 -o "$out"/clevr-tetris.png

# A picture that comet made carries its recipe: make it again without any .z, byte for byte.
comet replay "$out"/clevr-eight.png -o "$out"/clevr-eight-again.png
cmp "$out"/clevr-eight.png "$out"/clevr-eight-again.png
