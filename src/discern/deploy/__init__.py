"""Plain files that put a model where people run things; nothing here talks to a cloud."""
