"""Version 1 of the API, for what version 2 does not have: lenient bodies, offset paging, other names and times."""
