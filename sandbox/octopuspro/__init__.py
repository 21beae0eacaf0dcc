"""A stand-in for OctopusPro: a seeded generator of the bundle its support team hands out, as awkward as the real ones."""
