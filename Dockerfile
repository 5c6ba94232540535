# Two images, no compiler, no development tools, a normal user. worker: for worker, archiver, simulator and alert consumer.
# training: the same and the extra `training`, for the trainer and the MLflow server; docker build --target training
FROM python:3.11.13-slim-bookworm AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY pyproject.toml requirements.lock ./
COPY deploy/runtime_requirements.py deploy/
RUN python deploy/runtime_requirements.py > runtime.txt \
    && python deploy/runtime_requirements.py --extra training > training.txt \
    && python deploy/runtime_requirements.py setuptools > build.txt \
    && python -m venv /opt/streamgauge \
    && /opt/streamgauge/bin/pip install --require-hashes --only-binary :all: -r runtime.txt \
    && pip install --require-hashes --only-binary :all: -r build.txt
COPY README.md LICENSE ./
COPY contracts contracts
COPY producers producers
COPY feature_store feature_store
COPY online_model online_model
COPY training training
COPY stream_processors stream_processors
COPY streamgauge streamgauge
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && /opt/streamgauge/bin/pip install --no-deps wheels/*.whl \
    && /opt/streamgauge/bin/pip uninstall --yes pip setuptools

FROM python:3.11.13-slim-bookworm AS worker
RUN useradd --uid 10001 --create-home streamgauge \
    && mkdir --parents /plant /history /var/cache/streamgauge \
    && chown streamgauge /history /var/cache/streamgauge
COPY --from=build /opt/streamgauge /opt/streamgauge
COPY deploy/healthy.py /opt/streamgauge/healthy.py
COPY deploy/plant/plant.py /plant/plant.py
# Kernels are compiled for the processor at hand and kept; another processor compiles them anew at its first start.
ENV PATH=/opt/streamgauge/bin:$PATH PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/var/cache/streamgauge
USER streamgauge
WORKDIR /plant
RUN streamgauge compile
CMD ["streamgauge", "--help"]

FROM worker AS training
USER root
# the base image's own pip installs into the environment, which has none; what is there already stays as it is
RUN --mount=type=bind,from=build,source=/build/training.txt,target=/tmp/training.txt \
    pip --no-cache-dir --python /opt/streamgauge/bin/python install --require-hashes --only-binary :all: -r /tmp/training.txt \
    && mkdir /mlflow && chown streamgauge /mlflow
# logs hold one record a line, and no greetings
ENV MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=true
USER streamgauge

# what a build without --target makes
FROM worker
