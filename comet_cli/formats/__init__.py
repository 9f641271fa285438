"""Bytes on disk: components, pictures, recipes."""
