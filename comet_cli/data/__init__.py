"""Data sets: generators, the folder format, its loader and its checker."""
