"""Alerts, users, outbox and notifications in the SQL shards: one repository per file."""
