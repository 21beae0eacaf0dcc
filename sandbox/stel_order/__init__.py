"""A STEL Order account to develop and rehearse against: strict where the real one is strict, awkward where it is awkward.

`python -m sandbox.stel_order --port 8091 --key K --seed 1` serves a generated account below `/app`, its files below `/files` and a control
interface for tests below `/_sandbox/`. What the simulator does beyond what is publicly known about STEL Order can be set by options.
"""
