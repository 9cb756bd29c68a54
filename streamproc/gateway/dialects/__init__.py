"""Dialects: thin views of the same jobs, for clients that exist already. One file each; see docs/dialects.md."""
