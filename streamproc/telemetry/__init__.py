"""What is counted, for Prometheus. No label names a job: there are too many.

Each role has a registry, and a module that no other role imports: what a process has imported shows among its metrics,
and `up` shows those of its projectors beside the gateway's.
"""
