"""Recipes: one composition of fusion, head and balance per method of the papers, as YAML.

Reading one imports neither torch nor Lightning.
"""

from counterpoint.recipes.load import PaperResult, Recipe, list_recipes, load_recipe

__all__ = ["PaperResult", "Recipe", "list_recipes", "load_recipe"]
