FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY streamproc streamproc
COPY projections projections
RUN pip install --no-cache-dir . && useradd --system --create-home streamproc

USER streamproc
EXPOSE 8700
ENTRYPOINT ["streamproc"]
CMD ["--help"]
