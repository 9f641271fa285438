"""Figures: what a model reconstructs, and what its components segment."""
