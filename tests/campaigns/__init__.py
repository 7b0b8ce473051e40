"""Campaigns: long searches for errors, whose short forms run as tests."""
