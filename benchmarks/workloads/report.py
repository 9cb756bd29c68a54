"""A report on sales with DuckDB: a program of its own, ``report.py ROWS``, that prints its stages and percents."""

import sys
import threading
from functools import partial
from typing import Final

import duckdb  # type: ignore[import-not-found]  # of the tools' environment

QUERIES: Final = {
    "generate": """
        CREATE TABLE sales AS
        SELECT i AS id, hash(i) % 5000 AS shop, hash(i * 7) % 90000 AS item, (hash(i * 13) % 100000) / 100 AS price,
               DATE '2020-01-01' + (hash(i * 3) % 1500)::INT AS day
        FROM range($rows) t(i)""",
    "clean": "CREATE TABLE clean AS SELECT DISTINCT ON (shop, item, day) * FROM sales WHERE price > 1",
    "join": """
        CREATE TABLE joined AS
        SELECT a.shop, b.item, sum(a.price * b.price) AS worth
        FROM clean a JOIN clean b ON a.shop = b.shop AND a.day = b.day GROUP BY ALL""",
    "rank": """
        CREATE TABLE ranks AS
        SELECT shop, item, price, rank() OVER (PARTITION BY shop, day ORDER BY price) AS place,
               avg(price) OVER (PARTITION BY item ORDER BY day ROWS 30 PRECEDING) AS trend
        FROM clean""",
    "export": "COPY (SELECT * FROM ranks ORDER BY trend, item) TO 'ranks.parquet' (COMPRESSION zstd)",
}

database = duckdb.connect("report.duckdb", config={"threads": 1})
database.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
database.execute("SET preserve_insertion_order = false")
for stage, query in QUERIES.items():
    print("stage", stage, flush=True)
    work = threading.Thread(target=partial(database.execute, query.replace("$rows", sys.argv[1])))
    work.start()
    while work.is_alive():
        print("percent", database.query_progress(), flush=True)
        work.join(0.1)
