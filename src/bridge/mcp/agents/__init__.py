"""Agents served over MCP: their settings, the life of their runs, and what callers are given of it."""
