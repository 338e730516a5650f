"""Users in memory."""

from dataclasses import replace

from fms.db.memory.shard import MemoryShard
from fms.errors import NotFound
from fms.model.ids import IdMint
from fms.model.route import slot_of_user
from fms.model.user import User, parse_email


class MemoryUsers:
    """The users of a shard in memory; as ``fms.db.users.Users``."""

    def __init__(self, shard: MemoryShard, mint: IdMint) -> None:
        self._shard = shard
        self._mint = mint

    def find(self, email: str) -> User:
        """The user of an e-mail; raises NotFound."""
        email = parse_email(email)
        for user in self._shard.users.values():
            if user.email == email:
                return user
        raise NotFound(f"no user {email}")

    def find_or_add(self, email: str) -> User:
        """The user of an e-mail, made if there is none."""
        try:
            return self.find(email)
        except NotFound:
            email = parse_email(email)
            user = User(self._mint.new(slot_of_user(email)), email)
            self._shard.users[user.id] = user
            return user

    def change(self, user: User) -> None:
        """Write a user's preferences."""
        if before := self._shard.users.get(user.id):
            self._shard.users[user.id] = replace(user, version=before.version + 1)
