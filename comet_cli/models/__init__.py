"""Encoders, energy networks, and the folders they are kept in."""
