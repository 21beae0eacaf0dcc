"""Deliveries to those who asked to be told."""
