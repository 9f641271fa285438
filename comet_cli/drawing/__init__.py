"""Sheets, maps, animations and the page of the gallery."""
