"""Tables with objects, as in CLEVR."""
