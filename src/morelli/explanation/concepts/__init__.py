"""Concepts: named unit directions in a feature space, from texts, text banks, edits and examples."""
