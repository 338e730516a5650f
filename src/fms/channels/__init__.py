"""How the user hears: one file per channel, all behind the port ``Channel``."""
