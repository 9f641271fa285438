"""Renderers that turn a described scene into pixels and masks."""
