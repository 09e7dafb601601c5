# Each target does all its own set-up on a fresh machine. PYTHON=python3.12 chooses another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := configs/demo/bafenet_r18_demo.py
# Threads that wait give way soon: a loader process beside them would otherwise slow a step several times.
export GOMP_SPINCOUNT ?= 10000

.PHONY: demo test faults baselines smoke matrix lint clean

demo: $(VENV)/.installed
	$(BIN)/python tools/dataset/make_demo.py data/demo
	$(BIN)/python tools/train.py $(DEMO) --work-dir work_dirs/demo
	$(BIN)/python tools/test.py $(DEMO) work_dirs/demo --work-dir work_dirs/demo --out work_dirs/demo/metrics.json

# Each process takes files in a row, whose fixtures it makes once.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not faults and not baselines and not smoke" tests

# Kills, full disks, fuzzing, several processes.
faults: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m faults tests

# Every detector of configs/baselines learns a batch and predicts.
baselines: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m baselines tests

# What other versions of PyTorch, NumPy, Python or OpenMMLab break first.
smoke: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m smoke tests/test_smoke.py

# The same in environments of other versions, 5 to 7 GB each and one at a time. make matrix PAIRS="oldest forks" picks.
matrix: $(VENV)/.installed-dev
	$(BIN)/python tests/matrix.py $(if $(PAIRS),--pairs $(PAIRS))

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v < (3, 14) or sys.exit("error: Python %d.%d is not supported: use 3.10 to 3.13, as in make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install -r requirements.txt
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install -r requirements-dev.txt
	# It asks for NumPy below 2 and runs with 2.
	$(BIN)/python -m pip install --no-deps pyirstdmetrics==1.0.2
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
