"""The embedded stack of `transload up`: a real NATS server and the four services as processes of this machine, watched and restarted."""
