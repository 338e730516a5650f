"""Alerts, users and inboxes in memory, without SQL: for tests, simulations and trials that keep nothing."""
