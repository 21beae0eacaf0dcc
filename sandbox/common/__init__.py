"""Plumbing shared by the simulators: a lean ASGI layer and a way to serve it. Knows no CRM."""
