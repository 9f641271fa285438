"""Networks: torch modules and nothing else; they open no file and know no card."""
