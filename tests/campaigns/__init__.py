"""Campaigns: long searches for faults, whose short forms run as tests."""
