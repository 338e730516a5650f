"""What stands between the stages when they run as workers: queues, their names, and the form of their messages."""
