"""Operations of version 1 that version 2 replaced, as Pipedrive served them until August 2026: the same store, version 2's rules, old names.

A body is put into the terms of version 2, version 2 decides, and what it made is shown in the terms of version 1.
"""
