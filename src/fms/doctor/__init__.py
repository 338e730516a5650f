"""Looks at everything that a site stands on, says what it found, and what to do. A failure is a finding."""
