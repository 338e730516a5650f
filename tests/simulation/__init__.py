"""Thousands of disturbed lives of a site's workers in one process, each decided by a seed.

The classes are the real ones: jobs, ``Worker``, ``deliver``, the stages, the memory adapters. ``strands`` lets them run
in turns, ``faults`` strikes at the points between their steps, and the outcome must be that of an undisturbed life.
"""
