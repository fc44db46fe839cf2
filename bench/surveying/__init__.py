"""The sections of `bench/survey.py`, and what they are made of."""
