"""Recipes: a whole detector from public collections, step by step, resumable.

`recipes.plans` holds what a recipe says (data, no code), `recipes.run` carries one out. Everything that a
step computes is done by the rooms below; here it is put in order and recognised again.
"""

__all__ = ()
