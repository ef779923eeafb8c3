# One file, four images:  docker build --target gateway|mirror|model-server|trainer .
#
# The gateway and the mirror run on a base that has Python and nothing else: no shell, no pip. Both bases have Python
# 3.11, so that what pip installs on the one runs on the other. To move to newer ones give their digests here.
ARG PYTHON_IMAGE=docker.io/library/python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
ARG BARE_IMAGE=gcr.io/distroless/python3-debian12:nonroot@sha256:7d1042ce588ab97019fe95c24ffca7bc5a82ccdac572511d5e09bda4435c89c5
# Told in the labels; the version is pyproject.toml's, the revision --build-arg REVISION="$(git rev-parse HEAD)".
ARG VERSION=0.1.0
ARG REVISION

FROM ${PYTHON_IMAGE} AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY deploy/requirements/image.lock .
RUN python -m venv tools && tools/bin/pip install --no-deps --require-hashes --requirement image.lock && mkdir empty

FROM tools AS wheel
COPY LICENSE README.md pyproject.toml ./
COPY services services
COPY plugins plugins
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels .

# A virtual environment stays where it was made, so it is made where the images have it. This one keeps its pip: the
# trainer fetches data sets that packages carry.
FROM tools AS training
COPY deploy/requirements/training.lock .
RUN python -m venv /opt/tensorgate \
  && /opt/tensorgate/bin/pip install --no-deps --require-hashes --requirement training.lock
COPY --from=wheel /build/wheels wheels
RUN /opt/tensorgate/bin/pip install --no-deps wheels/*.whl \
  && tools/bin/cyclonedx-py environment /opt/tensorgate --output-file /opt/tensorgate/sbom.json
COPY deploy/messages.py .
RUN /opt/tensorgate/bin/python messages.py messages

# What is removed is never loaded: tests, sources and symbols of compiled packages, and of the 400 services that boto3
# knows all but S3 and those that lend credentials for it. Libraries in *.libs are left alone: auditwheel has moved their
# sections, and strip breaks them.
FROM tools AS serving
# hadolint ignore=DL3008  # Debian's mirrors keep the newest version only; nothing of this stage's system gets into an image
RUN apt-get update && apt-get install --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
COPY deploy/requirements/serving.lock .
RUN python -m venv --without-pip serving \
  && pip --python serving/bin/python install --no-deps --require-hashes --requirement serving.lock
COPY --from=wheel /build/wheels wheels
RUN pip --python serving/bin/python install --no-deps wheels/*.whl \
  && tools/bin/cyclonedx-py environment serving --output-file sbom.json \
  && mv serving/lib/python3.11/site-packages packages \
  && mv sbom.json packages
COPY --from=training /build/messages packages
RUN find packages -depth -type d -name tests -exec rm -r {} + \
  && find packages -type f '(' -name '*.pyi' -o -name '*.pyx' -o -path '*/simdjson/*.cpp' -o -path '*/simdjson/*.h' ')' -delete \
  && find packages/botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name 'sso*' -exec rm -r {} + \
  && find packages -name '*.so' ! -path '*.libs/*' -exec strip --strip-debug {} + \
  && python -m compileall -q --invalidation-mode unchecked-hash packages

FROM ${BARE_IMAGE} AS bare
COPY --from=serving /build/packages /opt/tensorgate
ENV PYTHONPATH=/opt/tensorgate PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /

FROM bare AS gateway
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Tensorgate gateway" \
  org.opencontainers.image.description="REST and gRPC in front of TensorFlow Serving" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
ENV TENSORGATE_GATEWAY_HTTP_HOST=0.0.0.0
EXPOSE 8080 8090
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["/usr/bin/python3.11", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/livez')"]
ENTRYPOINT ["/usr/bin/python3.11", "-m", "services.gateway"]

FROM bare AS mirror
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Tensorgate mirror" \
  org.opencontainers.image.description="Brings published models to the TensorFlow Serving beside it" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
ENV TENSORGATE_MIRROR_HOST=0.0.0.0 TENSORGATE_MIRROR_METRICS_PORT=9100 TENSORGATE_MIRROR_FOLDER=/models
# A volume that Docker makes takes its owner from here.
COPY --from=serving --chown=65532:65532 /build/empty /models
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["/usr/bin/python3.11", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9100/livez')"]
ENTRYPOINT ["/usr/bin/python3.11", "-m", "services.mirror"]

FROM ${PYTHON_IMAGE} AS tensorflow
COPY --from=training /opt/tensorgate /opt/tensorgate
ENV PATH=/opt/tensorgate/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /

FROM tensorflow AS model-server
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Tensorgate model server" \
  org.opencontainers.image.description="TensorFlow Serving's API, for where tensorflow/serving does not run" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8500), 2)"]
ENTRYPOINT ["python", "-m", "services.model_server", "--host=0.0.0.0", "--port=8500", "--rest_api_port=8501"]

FROM tensorflow AS trainer
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Tensorgate trainer" \
  org.opencontainers.image.description="Trains plugins and publishes what passes the gate" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
# Runs, datasets and the caches of libraries: the one place that is written to.
COPY --from=training --chown=65532:65532 /build/empty /work
ENV HOME=/work TENSORGATE_HOME=/work
HEALTHCHECK NONE
ENTRYPOINT ["tensorgate"]
