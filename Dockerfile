# The command line in a container: docker build -t valency . && docker run -v "$PWD/out:/out" valency run --out /out
FROM python:3.11-slim

# A stray secrets.py or model.py in the working folder must not shadow a module of ours or of the standard library.
ENV PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY lexicons lexicons
COPY pipeline pipeline
COPY model model
COPY flows flows
COPY data/sample data/sample
COPY data/recipes data/recipes
RUN pip install -c constraints.txt . && rm -rf /src/*

RUN useradd --create-home --uid 1000 valency && mkdir /out && chown valency /out
USER valency
WORKDIR /home/valency
ENTRYPOINT ["valency"]
CMD ["--help"]
