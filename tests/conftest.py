"""Fixtures of real servers; profiles of hypothesis, ``HYPOTHESIS_PROFILE=soak`` for the long search."""

import os

from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ["tests.services.fixtures"]

settings.register_profile("ordinary", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", parent=settings.get_profile("ordinary"), max_examples=2_000)
settings.register_profile(
    "quick", parent=settings.get_profile("ordinary"), phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ordinary"))
