"""The price book: the last known fare of every series, in pages of one O&D and departure date."""
