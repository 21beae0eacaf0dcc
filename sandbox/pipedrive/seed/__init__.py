"""What an account begins with."""
