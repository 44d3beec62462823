# Every target works in a fresh clone with python >= 3.10 (with venv), make and access to a package index.
# Overridable: PYTHON (interpreter that creates the environment), VENV (its folder), IMAGE (photo for `make demo`),
# DATA (folder of RGB-D sets for `make bench`), PHOTOS (folder of photos for its INT8 part, which takes ten minutes), PYTEST_ARGS.

VENV ?= .venv
BIN := $(VENV)/bin
VIEW := build/view
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The first interpreter that runs and is new enough; version managers install names that exist but refuse to run.
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.10; do \
	$$name -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$name && break; done)

.PHONY: help setup demo test test-slow lint format types arch bench tables clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no python >= 3.10 with venv found. Fix: make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# Two levels of the same environment: the base package alone (no torch), and everything that developing needs.
$(VENV)/.base: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[dev]'
	@touch $(VENV)/.base $@

setup: $(VENV)/.dev  ## .venv with the package, all extras for a plain CPU host, and the developer tools

demo: $(VENV)/.base  ## depth of the carried sample scenes (or IMAGE=photo.jpg) under out/; base package only
	$(BIN)/pixio-edge demo $(if $(IMAGE),"$(IMAGE)") --output out

test: $(VENV)/.dev  ## all quick tests
	$(BIN)/pytest -m 'not slow' $(PYTEST_ARGS)

test-slow: $(VENV)/.dev  ## the tests that take minutes
	$(BIN)/pytest -m slow $(PYTEST_ARGS)

lint: $(VENV)/.dev  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev  ## ruff, applied
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# export/, runtimes/ and calibration/ install below pixio_edge, but lie beside it: tools that read source need to see one package.
.PHONY: view
view:
	@rm -rf $(VIEW) && mkdir -p $(VIEW)/pixio_edge
	@ln -s $(CURDIR)/pixio_edge/* $(VIEW)/pixio_edge/
	@ln -s $(CURDIR)/export $(CURDIR)/runtimes $(CURDIR)/calibration $(VIEW)/pixio_edge/

MYPY := $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache

# Not setup.py of the ROS package: two files of that name would be one module.
EXAMPLES := *.py jetson/*.py jetson/ros2/pixio_edge_ros/launch/*.py jetson/ros2/pixio_edge_ros/pixio_edge_ros/*.py

types: $(VENV)/.dev view  ## mypy --strict on the package, the benchmarks and the examples
	cd $(VIEW) && $(MYPY) -p pixio_edge
	cd $(VIEW) && MYPYPATH=. $(MYPY) $(CURDIR)/benchmarks $(wildcard $(addprefix $(CURDIR)/examples/,$(EXAMPLES)))

arch: $(VENV)/.dev view  ## dependency direction, and what the base package must never import
	cd $(VIEW) && PYTHONPATH=. $(abspath $(BIN))/lint-imports --no-logo --no-cache --config $(CURDIR)/.importlinter
	$(BIN)/pytest tests/architecture $(PYTEST_ARGS)

bench: $(VENV)/.dev  ## measure this host and append to benchmarks/records/
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/frame_loop.py
	$(BIN)/python benchmarks/startup.py
	$(if $(DATA),$(BIN)/python benchmarks/accuracy.py "$(DATA)")
	$(if $(PHOTOS),$(BIN)/python benchmarks/int8.py --images "$(PHOTOS)")
	$(if $(PHOTOS),$(BIN)/python benchmarks/hard_case.py)
	$(BIN)/python benchmarks/tables.py

tables: $(VENV)/.dev  ## rewrite the generated blocks of README.md and docs from benchmarks/records/
	$(BIN)/python benchmarks/tables.py

clean:  ## remove what the targets above made, except the environment
	rm -rf build out dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
