"""Routes and who owns them: O&D → slot → partition or shard."""

from zlib import crc32

SLOTS = 4096
"""Units of ownership. A shard owns some slots; an id names its slot."""

PARTITIONS = 16
"""Units of queueing. A partition is every sixteenth slot."""


def od_of(origin: str, destination: str) -> str:
    """The O&D, the ordered airport pair, as it is written everywhere: ``JFK-LHR``."""
    return f"{origin}-{destination}"


def slot_of_od(od: str) -> int:
    """The slot that owns the alerts of an O&D."""
    return crc32(od.encode("ascii")) % SLOTS


def slot_of_user(email: str) -> int:
    """The slot that owns a user's account, inbox and preferences; an e-mail is compared in lower case."""
    return crc32(email.lower().encode()) % SLOTS


def partition_of_slot(slot: int) -> int:
    """The partition in which a slot's fares and changes travel, in order."""
    return slot % PARTITIONS


def partition_of_od(od: str) -> int:
    """The partition in which an O&D's fares and changes travel."""
    return partition_of_slot(slot_of_od(od))
