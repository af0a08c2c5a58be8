# The server and the shipped models, without torch. `make image`, or: docker build -t lstm-server .
#
#   docker run --rm -p 8000:8000 --read-only --tmpfs /tmp --cap-drop ALL lstm-server
#   docker run ... -v ./my-bundles:/models:ro -e LSTM_MODELS=/models lstm-server       bundles of your own
#   docker run ... --gpus all lstm-server                                              built with RUNTIME=gpu
#
# Every flag of `python -m server --help` may follow the name of the image, and every one has its LSTM_ variable.
# The health check asks the port in LSTM_PORT, so change the port there.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS builder
ARG RUNTIME=cpu
WORKDIR /build
COPY pyproject.toml constraints.txt ./
# An empty README.md stands in for the real one, whose every change would install everything again. What is removed
# afterwards are other packages' tests, sources and stubs, and the runtime's library for C programs: its Python module
# has all of that inside.
RUN --mount=type=cache,target=/root/.cache/pip \
    touch README.md \
    && python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --quiet --no-compile -c constraints.txt ".[${RUNTIME},signing,tokenizers]" \
    && find /opt/venv/lib/python3*/site-packages/numpy -type d -name tests -prune -exec rm -r {} + \
    && find /opt/venv/lib \( -name '*.py[ix]' -o -name '*.pxd' -o -name '*.[ch]' \) -delete \
    && rm -f /opt/venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*
WORKDIR /app
COPY LICENSE ./
COPY models models
COPY server server
# Nothing can be compiled later, on a file system that is read only; hashes, since copies may change the times of files.
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib /app

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="lstm-server" \
      org.opencontainers.image.description="Trained LSTMs behind POST /predict, with continuous batching" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    LSTM_HOST=0.0.0.0 \
    LSTM_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['LSTM_PORT']), timeout=2); c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "server"]
