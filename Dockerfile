# Ferryman as a container: slim, not root, fit for a read-only root file system (the only writable place is /data).
#
#   docker build -t ferryman .
#   docker run --read-only --tmpfs /tmp -v ferryman:/data -p 8470:8470 -e AWS_REGION=us-east-1 \
#     -e FERRYMAN_HTTP__TOKEN=... -e FERRYMAN_QUEUE__SOURCES='["sqs:https://..."]' ferryman
#
# Probes, on port 8471, without token: /livez (the loop turns), /readyz (the store can be written), /startupz, /metrics.
# Stopping: SIGTERM drains within 20 seconds, so give a pod terminationGracePeriodSeconds: 30.

FROM python:3.12-slim-bookworm AS build
WORKDIR /build
COPY config/requirements.txt config/
RUN python -m venv /opt/ferryman \
    && /opt/ferryman/bin/pip install --no-cache-dir --require-hashes --no-deps -r config/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY controller controller
# The package has no build step: its files are copied beside the locked dependencies.
RUN cp -r controller "$(/opt/ferryman/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/" \
    && printf '#!/opt/ferryman/bin/python\nfrom controller.cli import main\n\nmain()\n' > /opt/ferryman/bin/ferryman \
    && chmod 0755 /opt/ferryman/bin/ferryman \
    && /opt/ferryman/bin/python -m compileall -q /opt/ferryman/lib

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /data --shell /usr/sbin/nologin ferryman
COPY --from=build /opt/ferryman /opt/ferryman
ENV PATH=/opt/ferryman/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FERRYMAN_STORE__URL=sqlite:////data/ferryman.db \
    FERRYMAN_HTTP__HOST=0.0.0.0 \
    FERRYMAN_HTTP__PORT=8470 \
    FERRYMAN_HTTP__PROBE_PORT=8471
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8470 8471
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8471/livez', timeout=2)"]
ENTRYPOINT ["ferryman"]
CMD ["run"]
