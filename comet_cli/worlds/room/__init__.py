"""A room with a lamp."""
