# make serve          serves the shipped models on http://127.0.0.1:8000   (MODELS=, PORT=, WORKERS=, DEVICE=; RUNTIME=gpu for CUDA)
# make test           everything is checked and tested                     (TORCH_INDEX=: see README.md)
# make loadtest       Locust against a server that it starts
# make bench          floor, ceiling, a tutorial's server and ours beside each other   (QUICK=1, DEVICE=cuda; needs wrk)
# make bench-peers    mosec and BentoML beside ours                         (QUICK=1; each in an environment of its own)
# make gpu-wheels     fetches what gpu-check needs on a machine without internet, in parts of 60 MiB   (GPU_PYTHON=3.12)
# make gpu-check      what an NVIDIA GPU changes: nodes, exactness, speed   (WHEELS=the folder of parts, if it has no internet)
# make image          builds the container image                           (RUNTIME=gpu for CUDA)

PYTHON ?= python3
MODELS ?=
PORT ?=
WORKERS ?=
DEVICE ?=
RUNTIME ?= cpu
TORCH_INDEX ?=
GPU_PYTHON ?= 3.12
WHEELS ?=

SERVE := .venv-serve/bin/python
DEV := .venv/bin/python

.PHONY: serve dev check test loadtest bench bench-peers gpu-wheels gpu-check image clean

serve: .venv-serve/.installed-$(RUNTIME)
	$(SERVE) -m server $(if $(MODELS),--models "$(MODELS)") $(if $(PORT),--port $(PORT)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(DEVICE),--device $(DEVICE))

dev: .venv/.installed

check: dev
	$(DEV) -m ruff check .
	$(DEV) -m ruff format --check .
	$(DEV) -m mypy
	.venv/bin/lint-imports

# In the order of the folders, since the exporter's tests are the long ones; pytest-xdist would begin with the many.
test: check
	OMP_NUM_THREADS=1 $(DEV) -m pytest -n auto --dist loadfile --no-loadscope-reorder

loadtest: dev
	$(DEV) -m loadtests

bench: dev
	$(DEV) -m loadtests.engine --json loadtests/results/engine.json $(if $(QUICK),--quick)
	$(DEV) -m loadtests.bench --device $(or $(DEVICE),cpu) $(if $(QUICK),--quick)

bench-peers: dev
	$(DEV) -m loadtests.bench.peers $(if $(QUICK),--quick)

gpu-wheels: dev
	$(DEV) -m loadtests.gpu.wheels fetch loadtests/results/gpu-wheels --python $(GPU_PYTHON)

gpu-check:
	$(PYTHON) -m venv --system-site-packages .venv-gpu
	$(if $(WHEELS),.venv-gpu/bin/python -m loadtests.gpu.wheels install $(WHEELS),.venv-gpu/bin/python -m pip install --quiet -c constraints.txt '.[gpu]' onnx)
	.venv-gpu/bin/python -m loadtests.gpu

image:
	docker build --build-arg RUNTIME=$(RUNTIME) -t lstm-server .

clean:
	rm -rf .venv .venv-serve .venv-peers .venv-gpu

# The CPU's and the GPU's ONNX Runtime exclude each other: another RUNTIME= makes the environment anew.
.venv-serve/.installed-$(RUNTIME): pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-serve
	$(SERVE) -m pip install --quiet -c constraints.txt '.[$(RUNTIME)]'
	touch $@

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(DEV) -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(DEV) -m pip install --quiet -c constraints.txt -e '.[cpu,train,search,signing,load,bench,dev]'
	touch $@
