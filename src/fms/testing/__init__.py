"""Fake providers that speak the real protocol, for the tests of whoever builds on fms (extra ``testing``).

Example::

    with Providers() as providers:
        providers.answer("/3/device/abc", Reply(410, body=b'{"reason": "Unregistered"}'))
        ...  # a client that trusts providers.ca_file posts to providers.url("/3/device/abc")
        assert providers.sends("/3/device/abc") == 1
"""

from fms.testing.providers import Providers
from fms.testing.script import Fault, Received, Reply, Rule

__all__ = ["Fault", "Providers", "Received", "Reply", "Rule"]
