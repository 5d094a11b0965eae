# One image for server and worker. It needs no secret to be built; at run time the secrets come from the environment.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# Address of a package index that has the CPU build of torch; empty takes the default index's standard (CUDA) build.
ARG TORCH_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /build
RUN python -m venv /venv
COPY requirements.lock requirements-image.lock ./
RUN /venv/bin/pip install --require-hashes -r requirements-image.lock
# The lock's hashes are those of the standard torch and do not fit a CPU torch, so torch is pinned by version alone.
RUN mapfile -t torch < <(grep -oE '^(torch|torchvision)==[^ ]+' requirements.lock) \
    && /venv/bin/pip install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "${torch[@]}"
COPY pyproject.toml README.md LICENSE ./
COPY app app
RUN /venv/bin/pip install --no-deps .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="forgettery" \
      org.opencontainers.image.description="Trains classifiers, makes them forget on request, and keeps the evidence" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 forgettery \
    && useradd --system --uid 10001 --gid forgettery --home-dir /data --shell /usr/sbin/nologin forgettery \
    && install --directory --owner=forgettery --group=forgettery --mode=0700 /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FORGETTERY_HOME=/data \
    FORGETTERY_HOST=0.0.0.0 \
    FORGETTERY_PORT=8000
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ['FORGETTERY_PORT']}/healthz\", timeout=3)"]
ENTRYPOINT ["forgettery"]
CMD ["serve"]
