"""How the stages run as long-lived workers: the one order of delivery, waiting, stopping, logs and health."""
