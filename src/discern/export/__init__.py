"""Models in other forms, each proved to give the same answers, from file to answer."""
