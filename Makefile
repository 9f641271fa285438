# `make demo` and `make test` work on a fresh clone: they set up a virtual environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup test-setup demo pictures test lint data figures bench clean

setup: $(VENV)/.installed
test-setup: $(VENV)/.installed-test

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install -q -c constraints.txt -e '.[test,dev,render]'
	touch $@

# Takes pictures apart and puts them together with the shipped weights; pictures land in out/demo.
demo: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh out/demo

# The pictures of README.md and docs/gallery.md: those of the demo that docs/images has.
pictures: demo
	@for picture in out/demo/*.png; do \
	  name=docs/images/$${picture##*/}; if [ -e "$$name" ]; then cp "$$picture" "$$name"; fi; \
	done

# The paper's figures, into docs/images, as docs/figures.md shows them. A panel, or a whole figure
# (exit code 1), whose models are not shipped is left out, and stderr says so.
figures: setup
	@for n in 1 3 4 5 6 7 8 9 10; do \
	  $(BIN)/comet figure $$n --device cpu -o docs/images/figure-$$n.png \
	    || [ $$? -eq 1 ] || exit 1; \
	done

# One table of speed, in a few minutes; nothing else should run meanwhile.
bench: setup
	$(BIN)/python benchmarks/speed.py

test: test-setup
	$(BIN)/python -m pytest

lint: test-setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) out
