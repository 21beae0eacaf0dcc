"""The company and its rules, which both versions of the API share."""
