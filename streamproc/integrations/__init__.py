"""Progress of the tasks of Celery, RQ, arq and Dramatiq: ``pip install 'streamproc[celery]'``, or another of them.

A task is a job: its id is the framework's, its kind the task's name. `tasks` holds what they have in common.
"""
