"""The pieces of `bench/serve.py`: a section a file, and what they share."""
