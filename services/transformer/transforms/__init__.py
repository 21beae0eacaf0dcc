"""Named transforms: small pure functions from a source value to a target value. A mapping names them; it holds no code.

Every transform takes the value first and its options by name; it is never called with an empty value (None, "", [] or {}), and answers None
for "no value". It raises `ValueProblem` for a value it cannot read. There is one module for each kind of value; `catalogue` has the names.
"""
