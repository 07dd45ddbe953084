# docker build -t convcli . && docker run --rm -v "$PWD:/data" -u "$(id -u):$(id -g)" convcli apply photo.png -k sobel-x
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN python -m venv /opt/convcli && /opt/convcli/bin/pip install --no-cache-dir /source

FROM python:3.13-slim
COPY --from=build /opt/convcli /opt/convcli
ENV PATH=/opt/convcli/bin:$PATH
RUN useradd --create-home convcli
USER convcli
WORKDIR /data
ENTRYPOINT ["convcli"]
CMD ["--help"]
