"""The SDK: what a worker reports with.

`client` connects; `job` and `parts` are what a worker holds; `checks` refuses what a programmer wrote wrong;
`outbox` holds what waits, and `sender` is the background thread that appends it.
"""
