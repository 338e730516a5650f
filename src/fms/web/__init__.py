"""The API over HTTP: accounts, alerts, inboxes, devices. ``app.create_app`` makes it, ``serving`` runs it."""
