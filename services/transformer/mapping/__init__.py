"""The mapping: what each kind of source record becomes in Pipedrive. Models of the YAML file, readable by the person who confirms it.

There is one module for each part of the file; `document` has the whole, `reading` makes it of a text.

A mapping document may hold two partial documents under `account` (what the proposal found in this account) and `overrides` (what a person wants
otherwise). Both have the shape of the whole and are laid over it, `account` first: objects are merged key by key, everything else is replaced,
and null takes a key away. So the comments of the connector's file stay where they are.
"""
