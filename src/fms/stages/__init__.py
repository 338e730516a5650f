"""The four verbs: ingest, diff, match, notify. A batch in, a batch out."""
