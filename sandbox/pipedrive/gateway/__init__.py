"""The way of a request: credential, route, effect, answer."""
