"""All that is kept about one user."""

from typing import Any

from fms.accounts.service import Identity
from fms.model.clock import format_instant
from fms.model.shown import account_document, alert_document, notification_document, preferences_document
from fms.web.devices import device_answer
from fms.web.parts import Parts


def all_data(parts: Parts, who: Identity) -> dict[str, Any]:
    """The user's data as one document; of secrets, such as the password's hash, it has none."""
    site = parts.site
    # As it is now: who asks was looked up a moment ago.
    user = site.users.find(who.account.user.email)
    return {
        "exported_at": format_instant(site.clock()),
        "account": account_document(who.account),
        "preferences": preferences_document(user),
        "devices": [device_answer(one) for one in parts.devices.all(user.id)],
        "alerts": [alert_document(one, site.clock()) for one in site.alert_rows.all(user.id)],
        "notifications": [notification_document(one) for one in site.notifications.all(user.id)],
        "sessions": [
            {"id": str(one.id), "agent": one.agent, "created_at": format_instant(one.created_at)}
            for one in parts.accounts.sessions(user.id)
        ],
    }
