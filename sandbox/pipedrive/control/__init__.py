"""What tests and rehearsals do to an account, and what they are told of it."""
